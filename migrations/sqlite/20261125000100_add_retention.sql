-- Runs that are over can be pruned: their rows are deleted, save those that say what they cost. So rows are deleted
-- after all, by this and nothing else.

-- When that began; it may not have ended. Such a run goes on no more.
ALTER TABLE runs ADD COLUMN pruned_at INTEGER;

-- A run's tasks are found by its rounds.
CREATE INDEX tasks_round ON tasks (round_id);
