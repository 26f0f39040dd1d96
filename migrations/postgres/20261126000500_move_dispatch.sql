-- What happens to every task writes its row once, when it is closed.

-- That a task was sent is a fact about its message, as that it was claimed: both stand in the outbox, whose row now stays
-- until the task is closed or planned again. A task's state is planned until then; the views say dispatched of one that
-- was sent. epoch is the attempt that was claimed.
ALTER TABLE outbox ADD COLUMN epoch bigint;
ALTER TABLE outbox ADD COLUMN sent_at timestamptz;
UPDATE outbox o SET epoch = t.epoch FROM tasks t WHERE t.seq = o.task_seq AND o.claimed_at IS NOT NULL;
INSERT INTO outbox (task_seq, run_id, due, claimed_at, epoch, sent_at)
SELECT seq, run_id, dispatched_at, dispatched_at, epoch, dispatched_at FROM tasks WHERE state = 'dispatched'
    ON CONFLICT (task_seq) DO NOTHING;
UPDATE tasks SET state = 'planned', dispatched_at = NULL WHERE state = 'dispatched';
ALTER TABLE tasks DROP CONSTRAINT tasks_state_check;
ALTER TABLE tasks ADD CONSTRAINT tasks_state_check CHECK (state IN ('planned', 'done', 'dead'));

-- No index of tasks names what changes, and pages have room: a change writes no index. Dead tasks are found by their
-- rounds' counters. In the outbox a claim moves a row from one index to the other, and marking it sent touches none.
DROP INDEX tasks_dispatched;
DROP INDEX tasks_dead;
ALTER TABLE tasks SET (fillfactor = 50);
DROP INDEX outbox_due;
CREATE INDEX outbox_due ON outbox (run_id, due, task_seq) WHERE claimed_at IS NULL;
CREATE INDEX outbox_claimed ON outbox (run_id, due) WHERE claimed_at IS NOT NULL;
ALTER TABLE outbox SET (fillfactor = 35);
ALTER TABLE items SET (fillfactor = 50);

-- seq only says what came first; rows are found by what they are of.
ALTER TABLE ledger DROP CONSTRAINT ledger_pkey;
ALTER TABLE ledger DROP CONSTRAINT ledger_task_seq_epoch_kind_worker_key;
ALTER TABLE ledger ADD PRIMARY KEY (task_seq, epoch, kind, worker);

CREATE OR REPLACE VIEW v_trouble AS
SELECT r.name AS run, k.run_id, p.round, p.step, k.id AS task_id, k.model,
       CASE WHEN o.sent_at IS NULL THEN k.state ELSE 'dispatched' END AS state, k.attempts, k.epoch,
       micros(k.not_before) AS not_before, k.reason
  FROM tasks k
  JOIN runs r ON r.id = k.run_id
  JOIN rounds p ON p.id = k.round_id
  LEFT JOIN outbox o ON o.task_seq = k.seq
 WHERE k.state = 'dead' OR (k.reason IS NOT NULL AND k.state <> 'done');

CREATE OR REPLACE VIEW task_latency AS
SELECT r.name AS run, k.run_id, p.round, p.step, p.kind, k.id AS task_id, k.model, k.worker,
       CASE WHEN o.sent_at IS NULL THEN k.state ELSE 'dispatched' END AS state, k.attempts,
       k.reason, (SELECT count(*) FROM items i WHERE i.task_seq = k.seq) AS items, micros(p.created_at) AS planned_at,
       micros(coalesce(o.sent_at, k.dispatched_at)) AS dispatched_at,
       CASE WHEN k.beat_epoch = k.epoch THEN micros(k.started_at) END AS started_at,
       micros(k.closed_at) AS closed_at,
       to_char(k.closed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS closed,
       CAST(micros(coalesce(o.sent_at, k.dispatched_at)) - micros(p.created_at) AS double precision) / 1000000
           AS wait_seconds,
       CAST(micros(k.closed_at) - micros(k.dispatched_at) AS double precision) / 1000000 AS work_seconds
  FROM runs r
  JOIN rounds p ON p.run_id = r.id
  JOIN tasks k ON k.round_id = p.id
  LEFT JOIN outbox o ON o.task_seq = k.seq;
