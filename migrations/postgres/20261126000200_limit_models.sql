-- What models' servers allow, over all runs, workers and coordinators.

-- The models a run calls, by their names in its spec: what each is, and what the run allows of it in any per_micros.
-- NULL is no limit.
CREATE TABLE run_models (
    run_id     uuid   NOT NULL REFERENCES runs (id),
    name       text   NOT NULL COLLATE "C",
    model      text   NOT NULL COLLATE "C",
    requests   bigint CHECK (requests > 0),
    tokens     bigint CHECK (tokens > 0),
    per_micros bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, name)
);
CREATE INDEX run_models_model ON run_models (model);

-- Models that are limited by some run, or were left alone because their servers asked for it. The row is the lock
-- under which grants are made. paced_until: when all that was granted has had its turn.
CREATE TABLE model_limits (
    model       text        PRIMARY KEY COLLATE "C",
    not_before  timestamptz,
    paced_until timestamptz
);

-- What an attempt was granted, as long as it counts: until then, or until per_micros after its report.
CREATE TABLE grants (
    task_seq   bigint      NOT NULL,
    epoch      bigint      NOT NULL,
    model      text        NOT NULL COLLATE "C",
    requests   bigint      NOT NULL,
    tokens     bigint      NOT NULL,
    per_micros bigint      NOT NULL,
    until      timestamptz NOT NULL,
    PRIMARY KEY (task_seq, epoch)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE INDEX grants_model ON grants (model, until);
