-- What processes that share a store need of each other.

-- Each step up doubles a run's share of the workers.
ALTER TABLE runs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;

-- The last sign of life of an attempt, and the epoch it was of: one of an older epoch says nothing.
ALTER TABLE tasks ADD COLUMN beat_epoch INTEGER;
ALTER TABLE tasks ADD COLUMN beat_at INTEGER;
ALTER TABLE tasks ADD COLUMN started_at INTEGER;

-- Who may do what only one may do. A term is never given twice.
CREATE TABLE leases (
    name   TEXT    PRIMARY KEY NOT NULL,
    holder TEXT    NOT NULL,
    term   INTEGER NOT NULL,
    until  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
