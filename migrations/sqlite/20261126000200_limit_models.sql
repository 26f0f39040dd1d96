-- What models' servers allow, over all runs, workers and coordinators.

-- The models a run calls, by their names in its spec: what each is, and what the run allows of it in any per_micros.
-- NULL is no limit.
CREATE TABLE run_models (
    run_id     TEXT    NOT NULL REFERENCES runs (id),
    name       TEXT    NOT NULL,
    model      TEXT    NOT NULL,
    requests   INTEGER CHECK (requests > 0),
    tokens     INTEGER CHECK (tokens > 0),
    per_micros INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_models_model ON run_models (model);

-- Models that are limited by some run, or were left alone because their servers asked for it. paced_until: when all
-- that was granted has had its turn.
CREATE TABLE model_limits (
    model       TEXT    PRIMARY KEY NOT NULL,
    not_before  INTEGER,
    paced_until INTEGER
) STRICT, WITHOUT ROWID;

-- What an attempt was granted, as long as it counts: until then, or until per_micros after its report.
CREATE TABLE grants (
    task_seq   INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    model      TEXT    NOT NULL,
    requests   INTEGER NOT NULL,
    tokens     INTEGER NOT NULL,
    per_micros INTEGER NOT NULL,
    until      INTEGER NOT NULL,
    PRIMARY KEY (task_seq, epoch)
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_model ON grants (model, until);
