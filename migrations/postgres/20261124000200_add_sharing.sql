-- What processes that share a store need of each other.

-- Each step up doubles a run's share of the workers.
ALTER TABLE runs ADD COLUMN priority integer NOT NULL DEFAULT 0;
CREATE INDEX runs_running ON runs (created_at, id) WHERE status = 'running';

-- The last sign of life of an attempt, and the epoch it was of: one of an older epoch says nothing.
ALTER TABLE tasks ADD COLUMN beat_epoch bigint;
ALTER TABLE tasks ADD COLUMN beat_at timestamptz;
ALTER TABLE tasks ADD COLUMN started_at timestamptz;

-- Who may do what only one may do. A term is never given twice.
CREATE TABLE leases (
    name   text        PRIMARY KEY,
    holder text        NOT NULL,
    term   bigint      NOT NULL,
    until  timestamptz NOT NULL
);
