-- Runs that are over can be pruned: their rows are deleted, save those that say what they cost. So rows are deleted
-- after all, by this and nothing else.

-- When that began; it may not have ended. Such a run goes on no more.
ALTER TABLE runs ADD COLUMN pruned_at timestamptz;

-- A run's tasks are found by its rounds.
CREATE INDEX tasks_round ON tasks (round_id);

-- Before a row goes, it is looked for where it may be named.
CREATE INDEX candidate_parents_parent ON candidate_parents (parent_id);
CREATE INDEX candidates_target ON candidates (target_id);
CREATE INDEX pairs_target ON pairs (target_id);
CREATE INDEX pairs_candidate ON pairs (candidate_id);
CREATE INDEX run_examples_example ON run_examples (example_id);
CREATE INDEX targets_example ON targets (example_id);
