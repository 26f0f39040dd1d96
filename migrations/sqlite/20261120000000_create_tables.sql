-- The tables of a store. Ids are text (UUIDs with hyphens, hashes as 32 hexadecimal digits), times are
-- UTC microseconds, states are words. Rows are never deleted, save the outbox and the bodies of closed
-- tasks. Forward only: a change is a new file.

CREATE TABLE runs (
    id          TEXT    PRIMARY KEY NOT NULL,
    name        TEXT    NOT NULL,
    kind        TEXT    NOT NULL CHECK (kind IN ('optimise', 'evaluate')),
    status      TEXT    NOT NULL CHECK (status IN ('running', 'paused', 'failed', 'finished', 'cancelled')),
    reason      TEXT,
    spec        TEXT    NOT NULL,
    spec_hash   TEXT    NOT NULL,
    summary     TEXT,
    created_at  INTEGER NOT NULL,
    finished_at INTEGER
) STRICT;

CREATE TABLE run_tags (
    run_id  TEXT    NOT NULL REFERENCES runs (id),
    ordinal INTEGER NOT NULL,
    tag     TEXT    NOT NULL,
    PRIMARY KEY (run_id, ordinal)
) STRICT, WITHOUT ROWID;

-- Append only: the newest row of a run holds. NULL is no limit.
CREATE TABLE run_limits (
    seq         INTEGER PRIMARY KEY,
    run_id      TEXT    NOT NULL REFERENCES runs (id),
    calls       INTEGER CHECK (calls >= 0),
    tokens      INTEGER CHECK (tokens >= 0),
    cost_micros INTEGER CHECK (cost_micros >= 0),
    created_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX run_limits_run ON run_limits (run_id, seq);

-- What a run has used, reservations included: the sum of its ledger, kept by a trigger.
CREATE TABLE run_spend (
    run_id      TEXT    PRIMARY KEY NOT NULL REFERENCES runs (id),
    calls       INTEGER NOT NULL DEFAULT 0,
    tokens      INTEGER NOT NULL DEFAULT 0,
    cost_micros INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- The id is the hash of the content. doc is set only where the columns cannot hold the text as it is
-- (it has a NUL character).
CREATE TABLE examples (
    id             TEXT PRIMARY KEY NOT NULL,
    input          TEXT NOT NULL,
    context        TEXT,
    choices        TEXT NOT NULL,
    reference      TEXT NOT NULL,
    reference_text TEXT,
    group_name     TEXT,
    doc            TEXT
) STRICT;

CREATE TABLE run_examples (
    run_id     TEXT    NOT NULL REFERENCES runs (id),
    position   INTEGER NOT NULL CHECK (position > 0),
    example_id TEXT    NOT NULL REFERENCES examples (id),
    dataset    TEXT    NOT NULL,
    cluster_id TEXT    NOT NULL,
    split      TEXT    NOT NULL CHECK (split IN ('train', 'validation', 'test')),
    PRIMARY KEY (run_id, position),
    UNIQUE (run_id, dataset, example_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE targets (
    seq        INTEGER PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE,
    run_id     TEXT    NOT NULL REFERENCES runs (id),
    dataset    TEXT    NOT NULL,
    model      TEXT    NOT NULL,
    example_id TEXT    REFERENCES examples (id)
) STRICT;
CREATE INDEX targets_run ON targets (run_id);

-- One row for each planned step of a round; the counters are kept by triggers.
CREATE TABLE rounds (
    id         INTEGER PRIMARY KEY,
    run_id     TEXT    NOT NULL REFERENCES runs (id),
    round      INTEGER NOT NULL CHECK (round >= 0),
    step       TEXT    NOT NULL CHECK (step IN ('propose', 'guard', 'answer')),
    kind       TEXT    NOT NULL CHECK (kind IN ('baseline', 'search', 'placebo', 'confirm')),
    created_at INTEGER NOT NULL,
    items      INTEGER NOT NULL DEFAULT 0,
    items_done INTEGER NOT NULL DEFAULT 0,
    tasks_open INTEGER NOT NULL DEFAULT 0,
    tasks_dead INTEGER NOT NULL DEFAULT 0,
    UNIQUE (run_id, round, step)
) STRICT;

CREATE TABLE candidates (
    seq         INTEGER PRIMARY KEY,
    id          TEXT    NOT NULL UNIQUE,
    run_id      TEXT    NOT NULL REFERENCES runs (id),
    target_id   TEXT    NOT NULL REFERENCES targets (id),
    round       INTEGER NOT NULL CHECK (round >= 0),
    ordinal     INTEGER NOT NULL,
    arm         TEXT    NOT NULL CHECK (arm IN ('original', 'search', 'placebo')),
    operator    TEXT    NOT NULL,
    author      TEXT    NOT NULL,
    question    TEXT,
    system_text TEXT,
    user_text   TEXT    NOT NULL,
    doc         TEXT    NOT NULL,
    verdict     TEXT    NOT NULL CHECK (verdict IN ('proposed', 'accepted', 'rejected')),
    reason      TEXT,
    detail      TEXT,
    CHECK ((verdict = 'rejected') = (reason IS NOT NULL))
) STRICT;
CREATE INDEX candidates_run ON candidates (run_id, round);

CREATE TABLE candidate_parents (
    candidate_id TEXT    NOT NULL REFERENCES candidates (id),
    ordinal      INTEGER NOT NULL,
    parent_id    TEXT    NOT NULL REFERENCES candidates (id) DEFERRABLE INITIALLY DEFERRED,
    PRIMARY KEY (candidate_id, ordinal)
) STRICT, WITHOUT ROWID;

-- planned -> dispatched -> done | dead, and back to planned with a higher epoch. claimed_at is set while
-- the present epoch is claimed: its worst case is then in the ledger.
CREATE TABLE tasks (
    seq               INTEGER PRIMARY KEY,
    id                TEXT    NOT NULL UNIQUE,
    run_id            TEXT    NOT NULL REFERENCES runs (id),
    round_id          INTEGER NOT NULL REFERENCES rounds (id),
    model             TEXT    NOT NULL,
    state             TEXT    NOT NULL DEFAULT 'planned'
                              CHECK (state IN ('planned', 'dispatched', 'done', 'dead')),
    epoch             INTEGER NOT NULL DEFAULT 1,
    attempts          INTEGER NOT NULL DEFAULT 0,
    worst_calls       INTEGER NOT NULL,
    worst_tokens      INTEGER NOT NULL,
    worst_cost_micros INTEGER NOT NULL,
    not_before        INTEGER NOT NULL,
    claimed_at        INTEGER,
    dispatched_at     INTEGER,
    closed_at         INTEGER,
    worker            TEXT,
    reason            TEXT
) STRICT;
CREATE INDEX tasks_dispatched ON tasks (run_id, dispatched_at) WHERE state = 'dispatched';
CREATE INDEX tasks_dead ON tasks (run_id) WHERE state = 'dead';

-- Beside the tasks, so that a change of state does not copy the body; gone once the task is done.
CREATE TABLE task_bodies (
    task_seq INTEGER PRIMARY KEY REFERENCES tasks (seq),
    body     TEXT    NOT NULL
) STRICT;

-- An item without a task needs none: its answer is stored, or an equal item of its step asks and it waits
-- for that one.
CREATE TABLE items (
    round_id       INTEGER NOT NULL REFERENCES rounds (id),
    ordinal        INTEGER NOT NULL CHECK (ordinal >= 0),
    task_seq       INTEGER REFERENCES tasks (seq),
    place          INTEGER,
    target_id      TEXT    NOT NULL REFERENCES targets (id),
    candidate_id   TEXT    REFERENCES candidates (id),
    example_id     TEXT    REFERENCES examples (id),
    repeat         INTEGER NOT NULL,
    key            TEXT    NOT NULL,
    grader         TEXT,
    grader_version TEXT,
    state          TEXT    NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'given_up')),
    reason         TEXT,
    PRIMARY KEY (round_id, ordinal),
    CHECK ((task_seq IS NULL) = (place IS NULL)),
    CHECK ((grader IS NULL) = (grader_version IS NULL))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX items_task ON items (task_seq, place) WHERE task_seq IS NOT NULL;
CREATE INDEX items_waiting ON items (key) WHERE state = 'open' AND task_seq IS NULL;

-- What has to be published: due is the later of not_before and the end of the last claim's hold.
CREATE TABLE outbox (
    task_seq INTEGER PRIMARY KEY REFERENCES tasks (seq),
    run_id   TEXT    NOT NULL,
    due      INTEGER NOT NULL
) STRICT;
CREATE INDEX outbox_due ON outbox (run_id, due, task_seq);

-- Bought once, by key. reply_json is set where the text alone does not say it: log-likelihoods, and
-- texts with a NUL character.
CREATE TABLE answers (
    seq               INTEGER PRIMARY KEY,
    key               TEXT    NOT NULL UNIQUE,
    model             TEXT    NOT NULL,
    reply_text        TEXT,
    reply_json        TEXT,
    prompt_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cost_micros       INTEGER NOT NULL,
    worker            TEXT    NOT NULL,
    created_at        INTEGER NOT NULL,
    CHECK (reply_text IS NOT NULL OR reply_json IS NOT NULL)
) STRICT;

-- The example is in the key: two examples can ask the same question and have other references. The answer
-- is named by its number, not by its key: grades come in the order of answers, so they are appended, where
-- keys would scatter them (see v_grades).
CREATE TABLE grades (
    answer_seq     INTEGER NOT NULL REFERENCES answers (seq),
    example_id     TEXT    NOT NULL DEFAULT '',
    grader         TEXT    NOT NULL,
    grader_version TEXT    NOT NULL,
    value          REAL    NOT NULL,
    raw            REAL,
    margin         REAL,
    feedback       TEXT    NOT NULL,
    created_at     INTEGER NOT NULL,
    PRIMARY KEY (answer_seq, example_id, grader, grader_version)
) STRICT, WITHOUT ROWID;

CREATE TABLE pairs (
    run_id         TEXT    NOT NULL REFERENCES runs (id),
    ordinal        INTEGER NOT NULL,
    target_id      TEXT    NOT NULL REFERENCES targets (id),
    candidate_id   TEXT    NOT NULL REFERENCES candidates (id),
    original       TEXT    NOT NULL,
    improved       TEXT    NOT NULL,
    original_grade REAL    NOT NULL,
    improved_grade REAL    NOT NULL,
    grader         TEXT    NOT NULL,
    operator       TEXT    NOT NULL,
    round          INTEGER NOT NULL,
    p_value        REAL    NOT NULL,
    PRIMARY KEY (run_id, ordinal)
) STRICT, WITHOUT ROWID;

-- reserve: the worst case, before dispatch. settle: what was used, less the reservation (so it may be
-- negative). expire: the report never came; the reservation stays charged (the row itself adds nothing).
CREATE TABLE ledger (
    seq         INTEGER PRIMARY KEY,
    run_id      TEXT    NOT NULL,
    task_seq    INTEGER NOT NULL REFERENCES tasks (seq),
    epoch       INTEGER NOT NULL,
    kind        TEXT    NOT NULL CHECK (kind IN ('reserve', 'settle', 'expire')),
    worker      TEXT    NOT NULL DEFAULT '',
    calls       INTEGER NOT NULL,
    tokens      INTEGER NOT NULL,
    cost_micros INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    UNIQUE (task_seq, epoch, kind, worker)
) STRICT;

CREATE TRIGGER ledger_adds_up AFTER INSERT ON ledger
BEGIN
    UPDATE run_spend
       SET calls = calls + NEW.calls,
           tokens = tokens + NEW.tokens,
           cost_micros = cost_micros + NEW.cost_micros
     WHERE run_id = NEW.run_id;
END;

CREATE TRIGGER items_count AFTER UPDATE OF state ON items
WHEN (NEW.state = 'done') <> (OLD.state = 'done')
BEGIN
    UPDATE rounds
       SET items_done = items_done + (NEW.state = 'done') - (OLD.state = 'done')
     WHERE id = NEW.round_id;
END;

CREATE TRIGGER tasks_count AFTER UPDATE OF state ON tasks
WHEN NEW.state <> OLD.state
BEGIN
    UPDATE rounds
       SET tasks_open = tasks_open + (NEW.state IN ('planned', 'dispatched'))
                                   - (OLD.state IN ('planned', 'dispatched')),
           tasks_dead = tasks_dead + (NEW.state = 'dead') - (OLD.state = 'dead')
     WHERE id = NEW.round_id;
END;
