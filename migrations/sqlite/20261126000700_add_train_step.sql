-- A run's last step: a small model learns from its pairs. How that goes is noted step by step.

-- The step's new word, in the text of the table's CHECK: nothing stored changes (as for 'score' before).
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
   SET sql = replace(sql, '(''propose'', ''guard'', ''answer'', ''score'')',
                     '(''propose'', ''guard'', ''answer'', ''score'', ''train'')')
 WHERE type = 'table' AND name = 'rounds';
PRAGMA writable_schema = RESET;

-- By the key of the training's answer, which is there when it has ended: two runs of the same training share both.
CREATE TABLE training_losses (
    key             TEXT    NOT NULL,
    step            INTEGER NOT NULL CHECK (step >= 0),
    loss            REAL,
    validation_loss REAL,
    noted_at        INTEGER NOT NULL,
    PRIMARY KEY (key, step)
) STRICT, WITHOUT ROWID;

-- How a run's training goes: the mean loss of a step's tokens before it, and that of the pairs held back, where it was
-- measured.
CREATE VIEW training_loss AS
SELECT r.name AS run, p.run_id, p.round, k.id AS task_id, k.model AS base, i.key AS training, l.step, l.loss,
       l.validation_loss, l.noted_at
  FROM runs r
  JOIN rounds p ON p.run_id = r.id AND p.step = 'train'
  JOIN items i ON i.round_id = p.id
  JOIN tasks k ON k.seq = i.task_seq
  JOIN training_losses l ON l.key = i.key;
