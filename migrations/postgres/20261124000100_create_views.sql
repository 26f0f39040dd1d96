-- Views for people: those of migrations/sqlite, with the same columns and the same values. Ids stay uuid, so
-- that they can be joined with the tables; hashes are their 32 digits; times are UTC microseconds.

CREATE FUNCTION digits(hash uuid) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN replace(hash::text, '-', '');

CREATE FUNCTION micros(at timestamptz) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
RETURN (extract(epoch FROM at) * 1000000)::bigint;

CREATE VIEW v_rounds AS
SELECT r.name AS run, r.id AS run_id, p.round, p.step, p.kind, p.items, p.items_done, p.tasks_open,
       p.tasks_dead, micros(p.created_at) AS created_at
  FROM rounds p
  JOIN runs r ON r.id = p.run_id;

-- One row for each thing asked, with what came of it.
CREATE VIEW v_items AS
SELECT r.name AS run, p.run_id, p.round, p.step, p.kind, i.ordinal, t.dataset, t.model, i.target_id,
       i.candidate_id, c.arm, c.operator, c.question, digits(i.example_id) AS example_id, e.input,
       e.reference_text, e.group_name, i.repeat, i.state, i.reason, digits(i.key) AS key, a.reply_text,
       a.prompt_tokens, a.completion_tokens, a.cost_micros, i.grader, g.value, g.raw, g.margin, g.feedback
  FROM items i
  JOIN rounds p ON p.id = i.round_id
  JOIN runs r ON r.id = p.run_id
  JOIN targets t ON t.id = i.target_id
  LEFT JOIN candidates c ON c.id = i.candidate_id
  LEFT JOIN examples e ON e.id = i.example_id
  LEFT JOIN answers a ON a.key = i.key
  LEFT JOIN grades g ON g.answer_seq = a.seq
                    AND g.example_id = coalesce(i.example_id, '00000000-0000-0000-0000-000000000000')
                    AND g.grader = i.grader
                    AND g.grader_version = i.grader_version;

-- Grades under the keys of their answers. No example is the empty text.
CREATE VIEW v_grades AS
SELECT digits(a.key) AS answer_key,
       CASE WHEN g.example_id <> '00000000-0000-0000-0000-000000000000' THEN digits(g.example_id) ELSE '' END
           AS example_id,
       g.grader, g.grader_version, a.model, a.reply_text, g.value, g.raw, g.margin, g.feedback,
       micros(g.created_at) AS created_at
  FROM grades g
  JOIN answers a ON a.seq = g.answer_seq;

-- One row for each candidate, grader and kind of round that tried it (kind and grader are NULL where
-- nothing was graded): the search's grades choose, the confirming ones judge; do not mix them.
CREATE VIEW v_candidates_scored AS
SELECT r.name AS run, c.run_id, t.dataset, t.model, c.target_id, c.id AS candidate_id, c.round, c.arm,
       c.ordinal, c.operator, c.author, c.verdict, c.reason, c.detail, c.question, c.system_text, c.user_text,
       s.kind, s.grader, coalesce(s.graded, 0) AS graded, s.mean_value, s.mean_margin
  FROM candidates c
  JOIN runs r ON r.id = c.run_id
  JOIN targets t ON t.id = c.target_id
  LEFT JOIN (
       SELECT i.candidate_id, p.kind, g.grader, count(*) AS graded, avg(g.value) AS mean_value,
              avg(g.margin) AS mean_margin
         FROM items i
         JOIN rounds p ON p.id = i.round_id
         JOIN answers a ON a.key = i.key
         JOIN grades g ON g.answer_seq = a.seq
                      AND g.example_id = coalesce(i.example_id, '00000000-0000-0000-0000-000000000000')
                      AND g.grader = i.grader
                      AND g.grader_version = i.grader_version
        WHERE p.step = 'answer'
        GROUP BY i.candidate_id, p.kind, g.grader
       ) s ON s.candidate_id = c.id;

-- Tasks that died, have to wait, or were sent back.
CREATE VIEW v_trouble AS
SELECT r.name AS run, k.run_id, p.round, p.step, k.id AS task_id, k.model, k.state, k.attempts, k.epoch,
       micros(k.not_before) AS not_before, k.reason
  FROM tasks k
  JOIN runs r ON r.id = k.run_id
  JOIN rounds p ON p.id = k.round_id
 WHERE k.state = 'dead' OR (k.reason IS NOT NULL AND k.state <> 'done');

-- What a run has used beside the limits that hold.
CREATE VIEW v_spend AS
SELECT r.name AS run, r.id AS run_id, r.status, s.calls, l.calls AS calls_limit, s.tokens,
       l.tokens AS tokens_limit, s.cost_micros, l.cost_micros AS cost_micros_limit
  FROM runs r
  JOIN run_spend s ON s.run_id = r.id
  JOIN run_limits l ON l.run_id = r.id
   AND l.seq = (SELECT max(n.seq) FROM run_limits n WHERE n.run_id = r.id);
