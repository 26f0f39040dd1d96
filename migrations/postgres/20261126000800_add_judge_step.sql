-- A judge is asked about answers, after they came and before they are graded.

-- The step's new word.
ALTER TABLE rounds DROP CONSTRAINT rounds_step_check;
ALTER TABLE rounds ADD CONSTRAINT rounds_step_check
    CHECK (step IN ('propose', 'guard', 'answer', 'judge', 'score', 'train'));
