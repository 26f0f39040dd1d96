-- Answers that only a reward model can grade are graded in a step of their own, after they are there.

-- The step's new word. A table's CHECK is its text in the schema: nothing stored changes, so the text is changed
-- (https://www.sqlite.org/lang_altertable.html, section 7) instead of copying the table under all that refer to it.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
   SET sql = replace(sql, '(''propose'', ''guard'', ''answer'')', '(''propose'', ''guard'', ''answer'', ''score'')')
 WHERE type = 'table' AND name = 'rounds';
PRAGMA writable_schema = RESET;

-- Views that count what was graded, wherever. leaderboard gains the means of raw grades; by those it ranks rewards.
DROP VIEW v_candidates_scored;
CREATE VIEW v_candidates_scored AS
SELECT r.name AS run, c.run_id, t.dataset, t.model, c.target_id, c.id AS candidate_id, c.round, c.arm,
       c.ordinal, c.operator, c.author, c.verdict, c.reason, c.detail, c.question, c.system_text, c.user_text,
       s.kind, s.grader, coalesce(s.graded, 0) AS graded, s.mean_value, s.mean_margin
  FROM candidates c
  JOIN runs r ON r.id = c.run_id
  JOIN targets t ON t.id = c.target_id
  LEFT JOIN (
       SELECT i.candidate_id, p.kind, g.grader, count(*) AS graded, avg(g.value) AS mean_value,
              avg(g.margin) AS mean_margin
         FROM items i
         JOIN rounds p ON p.id = i.round_id
         JOIN answers a ON a.key = i.key
         JOIN grades g ON g.answer_seq = a.seq
                      AND g.example_id = coalesce(i.example_id, '')
                      AND g.grader = i.grader
                      AND g.grader_version = i.grader_version
        WHERE p.step IN ('answer', 'score')
        GROUP BY i.candidate_id, p.kind, g.grader
       ) s ON s.candidate_id = c.id;

DROP VIEW leaderboard;
CREATE VIEW leaderboard AS
SELECT s.run, s.run_id, s.kind, t.dataset, t.model, s.target_id, t.example_id, e.input, s.grader,
       rank() OVER (w ORDER BY CASE WHEN s.grader = 'reward' THEN s.mean_raw ELSE s.mean_value END DESC,
                           coalesce(s.mean_margin, 0) DESC) AS place,
       s.candidate_id, c.round, c.arm, c.ordinal, c.operator, c.author, c.question, c.system_text, c.user_text,
       s.graded, s.mean_value, s.mean_margin,
       max(CASE WHEN c.arm = 'original' AND c.ordinal = 0 THEN s.mean_value END) OVER w AS original_value,
       s.mean_value - max(CASE WHEN c.arm = 'original' AND c.ordinal = 0 THEN s.mean_value END) OVER w AS gain,
       s.mean_raw, max(CASE WHEN c.arm = 'original' AND c.ordinal = 0 THEN s.mean_raw END) OVER w AS original_raw,
       s.mean_raw - max(CASE WHEN c.arm = 'original' AND c.ordinal = 0 THEN s.mean_raw END) OVER w AS raw_gain
  FROM (
       SELECT r.name AS run, p.run_id, p.kind, i.target_id, i.grader, i.candidate_id, count(*) AS graded,
              avg(g.value) AS mean_value, avg(g.margin) AS mean_margin, avg(g.raw) AS mean_raw
         FROM runs r
         JOIN rounds p ON p.run_id = r.id
         -- From rounds to grades, and not the other way: few rounds are asked for.
         CROSS JOIN items i
         CROSS JOIN answers a
         CROSS JOIN grades g
        WHERE p.step IN ('answer', 'score') AND i.round_id = p.id AND a.key = i.key AND g.answer_seq = a.seq
          AND g.example_id = coalesce(i.example_id, '')
          AND g.grader = i.grader AND g.grader_version = i.grader_version
        GROUP BY r.name, p.run_id, p.kind, i.target_id, i.grader, i.candidate_id
       ) s
  JOIN candidates c ON c.id = s.candidate_id
  JOIN targets t ON t.id = s.target_id
  LEFT JOIN examples e ON e.id = t.example_id
WINDOW w AS (PARTITION BY s.run, s.run_id, s.kind, s.target_id, s.grader);

DROP VIEW round_scores;
CREATE VIEW round_scores AS
SELECT r.name AS run, p.run_id, p.round, p.kind, t.dataset, t.model, i.grader, c.arm,
       count(DISTINCT i.target_id) AS targets, count(DISTINCT i.candidate_id) AS candidates, count(*) AS items,
       count(g.value) AS graded, avg(g.value) AS mean_value, avg(g.margin) AS mean_margin
  FROM runs r
  JOIN rounds p ON p.run_id = r.id
  JOIN items i ON i.round_id = p.id
  JOIN targets t ON t.id = i.target_id
  JOIN candidates c ON c.id = i.candidate_id
  LEFT JOIN answers a ON a.key = i.key
  LEFT JOIN grades g ON g.answer_seq = a.seq
                    AND g.example_id = coalesce(i.example_id, '')
                    AND g.grader = i.grader
                    AND g.grader_version = i.grader_version
 WHERE p.step IN ('answer', 'score') AND i.grader IS NOT NULL
 GROUP BY r.name, p.run_id, p.round, p.kind, t.dataset, t.model, i.grader, c.arm;

-- Fresh draws of candidate and unchanged prompt side by side, one row for each repeat: the same question, the same
-- order of choices. raw is a reward where the grader is one: differences of it compare, raws of two targets do not.
-- won is 1, 0, or 0.5 for a tie; chars is how long the answer is.
CREATE VIEW duels AS
SELECT r.name AS run, p.run_id, p.kind, t.dataset, t.model, i.target_id, i.grader, i.candidate_id, c.arm, i.repeat,
       og.value AS original_value, g.value, og.raw AS original_raw, g.raw, g.raw - og.raw AS raw_gain,
       CAST(CASE WHEN coalesce(g.raw, g.value) > coalesce(og.raw, og.value) THEN 1.0
                 WHEN coalesce(g.raw, g.value) = coalesce(og.raw, og.value) THEN 0.5
                 ELSE 0.0 END AS double precision) AS won,
       CAST(length(oa.reply_text) AS bigint) AS original_chars, CAST(length(a.reply_text) AS bigint) AS chars
  FROM runs r
  JOIN rounds p ON p.run_id = r.id AND p.kind = 'confirm' AND p.step IN ('answer', 'score')
  JOIN items i ON i.round_id = p.id
  JOIN candidates c ON c.id = i.candidate_id AND c.arm <> 'original'
  JOIN targets t ON t.id = i.target_id
  JOIN items o ON o.round_id = i.round_id AND o.target_id = i.target_id AND o.repeat = i.repeat
              AND o.grader = i.grader AND o.grader_version = i.grader_version
  JOIN candidates oc ON oc.id = o.candidate_id AND oc.arm = 'original'
  JOIN answers a ON a.key = i.key
  JOIN grades g ON g.answer_seq = a.seq AND g.example_id = coalesce(i.example_id, '')
               AND g.grader = i.grader AND g.grader_version = i.grader_version
  JOIN answers oa ON oa.key = o.key
  JOIN grades og ON og.answer_seq = oa.seq AND og.example_id = coalesce(o.example_id, '')
                AND og.grader = o.grader AND og.grader_version = o.grader_version;
