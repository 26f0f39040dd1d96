-- A run's last step: a small model learns from its pairs. How that goes is noted step by step.

-- The step's new word.
ALTER TABLE rounds DROP CONSTRAINT rounds_step_check;
ALTER TABLE rounds ADD CONSTRAINT rounds_step_check CHECK (step IN ('propose', 'guard', 'answer', 'score', 'train'));

-- By the key of the training's answer, which is there when it has ended: two runs of the same training share both.
CREATE TABLE training_losses (
    key             uuid             NOT NULL,
    step            bigint           NOT NULL CHECK (step >= 0),
    loss            double precision,
    validation_loss double precision,
    noted_at        timestamptz      NOT NULL,
    PRIMARY KEY (key, step)
);

-- How a run's training goes: the mean loss of a step's tokens before it, and that of the pairs held back, where it was
-- measured.
CREATE VIEW training_loss AS
SELECT r.name AS run, p.run_id, p.round, k.id AS task_id, k.model AS base, digits(i.key) AS training, l.step, l.loss,
       l.validation_loss, micros(l.noted_at) AS noted_at
  FROM runs r
  JOIN rounds p ON p.run_id = r.id AND p.step = 'train'
  JOIN items i ON i.round_id = p.id
  JOIN tasks k ON k.seq = i.task_seq
  JOIN training_losses l ON l.key = i.key;
