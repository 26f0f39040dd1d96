-- The tables of a store: those of migrations/sqlite with PostgreSQL's own types. Ids are uuid. So are content
-- hashes, which have as many bits (the views show their 32 digits). Times are timestamptz, in the views UTC
-- microseconds. What people ask into is jsonb; json is what must come back to the byte. Text that is ordered or
-- indexed is ordered by its bytes, as in SQLite, whatever the database's collation.
--
-- Rows are never deleted, save the outbox and the bodies of closed tasks. Forward only: a change is a new file.
--
-- The large tables (items, outbox, task_bodies, grades, ledger) have no foreign keys: those are checked row by row, which
-- takes as long as all the rest. Numbers of rounds, tasks and answers come from these tables themselves, in the statement
-- or transaction that writes them, and rows they name are never deleted; the ids in items are checked by a trigger, once
-- for each statement.
--
-- Who writes several kinds of rows takes their locks in one order, so that nobody waits in a circle: tasks (by
-- seq), answers (by key), grades, items, rounds (by id), run_spend (by run).

CREATE TABLE runs (
    id          uuid        PRIMARY KEY,
    name        text        NOT NULL COLLATE "C",
    kind        text        NOT NULL COLLATE "C" CHECK (kind IN ('optimise', 'evaluate')),
    status      text        NOT NULL COLLATE "C"
                            CHECK (status IN ('running', 'paused', 'failed', 'finished', 'cancelled')),
    reason      text,
    spec        json        NOT NULL,
    spec_hash   uuid        NOT NULL,
    summary     json,
    created_at  timestamptz NOT NULL,
    finished_at timestamptz
);

CREATE TABLE run_tags (
    run_id  uuid   NOT NULL REFERENCES runs (id),
    ordinal bigint NOT NULL,
    tag     text   NOT NULL COLLATE "C",
    PRIMARY KEY (run_id, ordinal)
);

-- Append only: the newest row of a run holds. NULL is no limit.
CREATE TABLE run_limits (
    seq         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id      uuid        NOT NULL REFERENCES runs (id),
    calls       bigint      CHECK (calls >= 0),
    tokens      bigint      CHECK (tokens >= 0),
    cost_micros bigint      CHECK (cost_micros >= 0),
    created_at  timestamptz NOT NULL
);
CREATE INDEX run_limits_run ON run_limits (run_id, seq);

-- What a run has used, reservations included: the sum of its ledger, kept by a trigger. Its row is also the lock
-- under which reservations are made.
CREATE TABLE run_spend (
    run_id      uuid   PRIMARY KEY REFERENCES runs (id),
    calls       bigint NOT NULL DEFAULT 0,
    tokens      bigint NOT NULL DEFAULT 0,
    cost_micros bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 20);

-- The id is the hash of the content. doc is set only where the columns cannot hold the text as it is
-- (it has a NUL character).
CREATE TABLE examples (
    id             uuid  PRIMARY KEY,
    input          text  NOT NULL,
    context        text,
    choices        jsonb NOT NULL,
    reference      jsonb NOT NULL,
    reference_text text,
    group_name     text  COLLATE "C",
    doc            json
);

CREATE TABLE run_examples (
    run_id     uuid   NOT NULL REFERENCES runs (id),
    position   bigint NOT NULL CHECK (position > 0),
    example_id uuid   NOT NULL REFERENCES examples (id),
    dataset    text   NOT NULL COLLATE "C",
    cluster_id uuid   NOT NULL,
    split      text   NOT NULL COLLATE "C" CHECK (split IN ('train', 'validation', 'test')),
    PRIMARY KEY (run_id, position),
    UNIQUE (run_id, dataset, example_id)
);

CREATE TABLE targets (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         uuid   NOT NULL UNIQUE,
    run_id     uuid   NOT NULL REFERENCES runs (id),
    dataset    text   NOT NULL COLLATE "C",
    model      text   NOT NULL COLLATE "C",
    example_id uuid   REFERENCES examples (id)
);
CREATE INDEX targets_run ON targets (run_id);

-- One row for each planned step of a round; the counters are kept by triggers.
CREATE TABLE rounds (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id     uuid        NOT NULL REFERENCES runs (id),
    round      bigint      NOT NULL CHECK (round >= 0),
    step       text        NOT NULL COLLATE "C" CHECK (step IN ('propose', 'guard', 'answer')),
    kind       text        NOT NULL COLLATE "C"
                           CHECK (kind IN ('baseline', 'search', 'placebo', 'confirm')),
    created_at timestamptz NOT NULL,
    items      bigint      NOT NULL DEFAULT 0,
    items_done bigint      NOT NULL DEFAULT 0,
    tasks_open bigint      NOT NULL DEFAULT 0,
    tasks_dead bigint      NOT NULL DEFAULT 0,
    UNIQUE (run_id, round, step)
) WITH (fillfactor = 20);

CREATE TABLE candidates (
    seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          uuid   NOT NULL UNIQUE,
    run_id      uuid   NOT NULL REFERENCES runs (id),
    target_id   uuid   NOT NULL REFERENCES targets (id),
    round       bigint NOT NULL CHECK (round >= 0),
    ordinal     bigint NOT NULL,
    arm         text   NOT NULL COLLATE "C" CHECK (arm IN ('original', 'search', 'placebo')),
    operator    text   NOT NULL COLLATE "C",
    author      text   NOT NULL COLLATE "C",
    question    text,
    system_text text,
    user_text   text   NOT NULL,
    doc         json   NOT NULL,
    verdict     text   NOT NULL COLLATE "C" CHECK (verdict IN ('proposed', 'accepted', 'rejected')),
    reason      text   COLLATE "C",
    detail      text,
    CHECK ((verdict = 'rejected') = (reason IS NOT NULL))
);
CREATE INDEX candidates_run ON candidates (run_id, round);

CREATE TABLE candidate_parents (
    candidate_id uuid   NOT NULL REFERENCES candidates (id),
    ordinal      bigint NOT NULL,
    parent_id    uuid   NOT NULL REFERENCES candidates (id) DEFERRABLE INITIALLY DEFERRED,
    PRIMARY KEY (candidate_id, ordinal)
);

-- planned -> dispatched -> done | dead, and back to planned with a higher epoch. claimed_at is set while
-- the present epoch is claimed: its worst case is then in the ledger. seq is drawn before the row is written,
-- so that the rows that name it can be written with it.
CREATE SEQUENCE tasks_seq AS bigint;
CREATE TABLE tasks (
    seq               bigint      PRIMARY KEY,
    id                uuid        NOT NULL UNIQUE,
    run_id            uuid        NOT NULL REFERENCES runs (id),
    round_id          bigint      NOT NULL REFERENCES rounds (id),
    model             text        NOT NULL COLLATE "C",
    state             text        NOT NULL COLLATE "C" DEFAULT 'planned'
                                  CHECK (state IN ('planned', 'dispatched', 'done', 'dead')),
    epoch             bigint      NOT NULL DEFAULT 1,
    attempts          bigint      NOT NULL DEFAULT 0,
    worst_calls       bigint      NOT NULL,
    worst_tokens      bigint      NOT NULL,
    worst_cost_micros bigint      NOT NULL,
    not_before        timestamptz NOT NULL,
    claimed_at        timestamptz,
    dispatched_at     timestamptz,
    closed_at         timestamptz,
    worker            text,
    reason            text
);
ALTER SEQUENCE tasks_seq OWNED BY tasks.seq;
CREATE INDEX tasks_dispatched ON tasks (run_id, dispatched_at) WHERE state = 'dispatched';
CREATE INDEX tasks_dead ON tasks (run_id) WHERE state = 'dead';

-- Beside the tasks, so that a change of state does not copy the body; gone once the task is done. The body is
-- text: a message for workers, which nobody asks into here.
CREATE TABLE task_bodies (
    task_seq bigint PRIMARY KEY,
    body     text   NOT NULL
);

-- An item without a task needs none: its answer is stored, or an equal item of its step asks and it waits
-- for that one. No index names the state, so that a change of state touches none.
CREATE TABLE items (
    round_id       bigint NOT NULL,
    ordinal        bigint NOT NULL CHECK (ordinal >= 0),
    task_seq       bigint,
    place          bigint,
    target_id      uuid   NOT NULL,
    candidate_id   uuid,
    example_id     uuid,
    repeat         bigint NOT NULL,
    key            uuid   NOT NULL,
    grader         text   COLLATE "C",
    grader_version text   COLLATE "C",
    state          text   NOT NULL COLLATE "C" DEFAULT 'open' CHECK (state IN ('open', 'done', 'given_up')),
    reason         text,
    PRIMARY KEY (round_id, ordinal),
    CHECK ((task_seq IS NULL) = (place IS NULL)),
    CHECK ((grader IS NULL) = (grader_version IS NULL))
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX items_task ON items (task_seq, place) WHERE task_seq IS NOT NULL;
CREATE INDEX items_waiting ON items (key) WHERE task_seq IS NULL;

-- What has to be published: due is the later of not_before and the end of the last claim's hold.
CREATE TABLE outbox (
    task_seq bigint      PRIMARY KEY,
    run_id   uuid        NOT NULL,
    due      timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE INDEX outbox_due ON outbox (run_id, due, task_seq);

-- Bought once, by key. reply_json is set where the text alone does not say it: log-likelihoods, and
-- texts with a NUL character.
CREATE TABLE answers (
    seq               bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key               uuid        NOT NULL UNIQUE,
    model             text        NOT NULL COLLATE "C",
    reply_text        text,
    reply_json        json,
    prompt_tokens     bigint      NOT NULL,
    completion_tokens bigint      NOT NULL,
    cost_micros       bigint      NOT NULL,
    worker            text        NOT NULL,
    created_at        timestamptz NOT NULL,
    CHECK (reply_text IS NOT NULL OR reply_json IS NOT NULL)
);

-- The example is in the key: two examples can ask the same question and have other references. Where there is
-- none it is the nil uuid, so that rows are found by equality.
CREATE TABLE grades (
    answer_seq     bigint           NOT NULL,
    example_id     uuid             NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    grader         text             NOT NULL COLLATE "C",
    grader_version text             NOT NULL COLLATE "C",
    value          double precision NOT NULL,
    raw            double precision,
    margin         double precision,
    feedback       text             NOT NULL,
    created_at     timestamptz      NOT NULL,
    PRIMARY KEY (answer_seq, example_id, grader, grader_version)
);

CREATE TABLE pairs (
    run_id         uuid             NOT NULL REFERENCES runs (id),
    ordinal        bigint           NOT NULL,
    target_id      uuid             NOT NULL REFERENCES targets (id),
    candidate_id   uuid             NOT NULL REFERENCES candidates (id),
    original       text             NOT NULL,
    improved       text             NOT NULL,
    original_grade double precision NOT NULL,
    improved_grade double precision NOT NULL,
    grader         text             NOT NULL COLLATE "C",
    operator       text             NOT NULL COLLATE "C",
    round          bigint           NOT NULL,
    p_value        double precision NOT NULL,
    PRIMARY KEY (run_id, ordinal)
);

-- reserve: the worst case, before dispatch. settle: what was used, less the reservation (so it may be
-- negative). expire: the report never came; the reservation stays charged (the row itself adds nothing).
CREATE TABLE ledger (
    seq         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id      uuid        NOT NULL,
    task_seq    bigint      NOT NULL,
    epoch       bigint      NOT NULL,
    kind        text        NOT NULL COLLATE "C" CHECK (kind IN ('reserve', 'settle', 'expire')),
    worker      text        NOT NULL COLLATE "C" DEFAULT '',
    calls       bigint      NOT NULL,
    tokens      bigint      NOT NULL,
    cost_micros bigint      NOT NULL,
    created_at  timestamptz NOT NULL,
    UNIQUE (task_seq, epoch, kind, worker)
);

-- The triggers run once for each statement: a counter is written once for a batch.

CREATE FUNCTION ledger_adds_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM run_spend
      WHERE run_id IN (SELECT run_id FROM added WHERE calls <> 0 OR tokens <> 0 OR cost_micros <> 0)
      ORDER BY run_id FOR NO KEY UPDATE;
    UPDATE run_spend s
       SET calls = s.calls + a.calls, tokens = s.tokens + a.tokens, cost_micros = s.cost_micros + a.cost_micros
      FROM (SELECT run_id, sum(calls)::bigint AS calls, sum(tokens)::bigint AS tokens,
                   sum(cost_micros)::bigint AS cost_micros
              FROM added
             WHERE calls <> 0 OR tokens <> 0 OR cost_micros <> 0
             GROUP BY run_id) a
     WHERE s.run_id = a.run_id;
    RETURN NULL;
END $$;
CREATE TRIGGER ledger_adds_up AFTER INSERT ON ledger
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ledger_adds_up();

CREATE FUNCTION items_refer() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong text;
BEGIN
    SELECT format('item %s names a target, candidate or example that is not stored', i.ordinal)
      INTO wrong
      FROM added i
      LEFT JOIN targets t ON t.id = i.target_id
      LEFT JOIN candidates c ON c.id = i.candidate_id
      LEFT JOIN examples e ON e.id = i.example_id
     WHERE t.id IS NULL OR (i.candidate_id IS NOT NULL AND c.id IS NULL)
        OR (i.example_id IS NOT NULL AND e.id IS NULL)
     LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION '%', wrong USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER items_refer AFTER INSERT ON items
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION items_refer();

CREATE FUNCTION items_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE rounds r
       SET items_done = r.items_done + d.done
      FROM (SELECT round_id, sum(done) AS done
              FROM (SELECT round_id, 1 AS done FROM after WHERE state = 'done'
                    UNION ALL
                    SELECT round_id, -1 FROM before WHERE state = 'done') c
             GROUP BY round_id HAVING sum(done) <> 0) d
     WHERE r.id = d.round_id;
    RETURN NULL;
END $$;
CREATE TRIGGER items_count AFTER UPDATE ON items
REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION items_count();

CREATE FUNCTION tasks_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE rounds r
       SET tasks_open = r.tasks_open + d.open, tasks_dead = r.tasks_dead + d.dead
      FROM (SELECT round_id, sum(open) AS open, sum(dead) AS dead
              FROM (SELECT round_id, (state IN ('planned', 'dispatched'))::int AS open,
                           (state = 'dead')::int AS dead
                      FROM after
                    UNION ALL
                    SELECT round_id, -(state IN ('planned', 'dispatched'))::int, -(state = 'dead')::int
                      FROM before) c
             GROUP BY round_id HAVING sum(open) <> 0 OR sum(dead) <> 0) d
     WHERE r.id = d.round_id;
    RETURN NULL;
END $$;
CREATE TRIGGER tasks_count AFTER UPDATE ON tasks
REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION tasks_count();
