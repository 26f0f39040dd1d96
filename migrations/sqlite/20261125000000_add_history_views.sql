-- Views over the history of runs. Their names and columns are a promise: a column may be added, none is renamed or
-- taken away. As everywhere, times (…_at) are UTC microseconds; started, finished and closed are the same times
-- for people, as text in UTC. docs/sql.md asks them.

-- By name, as people ask.
CREATE INDEX runs_name ON runs (name);

-- Every candidate that was graded, beside the others of its target. place counts within run, kind of round, target
-- and grader; gain is against the unchanged prompt in the same kind of round, and NULL where that was not asked.
-- The search's grades chose the winners and flatter them; those of the kind confirm judge.
CREATE VIEW leaderboard AS
SELECT s.run, s.run_id, s.kind, t.dataset, t.model, s.target_id, t.example_id, e.input, s.grader,
       rank() OVER (w ORDER BY s.mean_value DESC, coalesce(s.mean_margin, 0) DESC) AS place,
       s.candidate_id, c.round, c.arm, c.ordinal, c.operator, c.author, c.question, c.system_text, c.user_text,
       s.graded, s.mean_value, s.mean_margin,
       max(CASE WHEN c.arm = 'original' AND c.ordinal = 0 THEN s.mean_value END) OVER w AS original_value,
       s.mean_value - max(CASE WHEN c.arm = 'original' AND c.ordinal = 0 THEN s.mean_value END) OVER w AS gain
  FROM (
       SELECT r.name AS run, p.run_id, p.kind, i.target_id, i.grader, i.candidate_id, count(*) AS graded,
              avg(g.value) AS mean_value, avg(g.margin) AS mean_margin
         FROM runs r
         JOIN rounds p ON p.run_id = r.id
         -- From rounds to grades, and not the other way: few rounds are asked for.
         CROSS JOIN items i
         CROSS JOIN answers a
         CROSS JOIN grades g
        WHERE p.step = 'answer' AND i.round_id = p.id AND a.key = i.key AND g.answer_seq = a.seq
          AND g.example_id = coalesce(i.example_id, '')
          AND g.grader = i.grader AND g.grader_version = i.grader_version
        GROUP BY r.name, p.run_id, p.kind, i.target_id, i.grader, i.candidate_id
       ) s
  JOIN candidates c ON c.id = s.candidate_id
  JOIN targets t ON t.id = s.target_id
  LEFT JOIN examples e ON e.id = t.example_id
WINDOW w AS (PARTITION BY s.run, s.run_id, s.kind, s.target_id, s.grader);

-- One row for each run. The values are means over the targets of the confirming round: the unchanged prompt, the
-- chosen one (the unchanged one where nothing beat it), and what was gained; placebo_gain is what unscored
-- paraphrases gained the same way.
CREATE VIEW run_summary AS
SELECT r.name AS run, r.id AS run_id, r.kind, r.status, r.reason,
       strftime('%Y-%m-%d %H:%M:%S', r.created_at / 1000000, 'unixepoch') AS started,
       strftime('%Y-%m-%d %H:%M:%S', r.finished_at / 1000000, 'unixepoch') AS finished,
       r.created_at, r.finished_at,
       CAST(r.finished_at - r.created_at AS double precision) / 1000000 AS seconds,
       (SELECT count(*) FROM run_examples m WHERE m.run_id = r.id) AS examples,
       (SELECT count(*) FROM targets t WHERE t.run_id = r.id) AS targets,
       (SELECT count(*) FROM candidates c WHERE c.run_id = r.id AND c.arm <> 'original') AS candidates,
       (SELECT count(*) FROM candidates c WHERE c.run_id = r.id AND c.verdict = 'rejected') AS rejected,
       (SELECT count(*) FROM candidates c WHERE c.run_id = r.id AND c.reason LIKE 'leak%') AS leaks,
       (SELECT count(*) FROM pairs p WHERE p.run_id = r.id) AS pairs,
       (SELECT CAST(coalesce(sum(p.items), 0) AS bigint) FROM rounds p WHERE p.run_id = r.id) AS items,
       (SELECT CAST(coalesce(sum(p.items_done), 0) AS bigint) FROM rounds p WHERE p.run_id = r.id) AS items_done,
       (SELECT CAST(coalesce(sum(p.tasks_open), 0) AS bigint) FROM rounds p WHERE p.run_id = r.id) AS tasks_open,
       (SELECT CAST(coalesce(sum(p.tasks_dead), 0) AS bigint) FROM rounds p WHERE p.run_id = r.id) AS tasks_dead,
       u.calls, l.calls AS calls_limit, u.tokens, l.tokens AS tokens_limit, u.cost_micros,
       l.cost_micros AS cost_micros_limit,
       coalesce(f.targets, 0) AS confirmed, f.original_value, f.best_value, f.gain, f.placebo_gain
  FROM runs r
  JOIN run_spend u ON u.run_id = r.id
  JOIN run_limits l ON l.run_id = r.id
   AND l.seq = (SELECT max(n.seq) FROM run_limits n WHERE n.run_id = r.id)
  LEFT JOIN (
       SELECT run, run_id, count(*) AS targets, avg(original_value) AS original_value,
              avg(coalesce(winner_value, original_value)) AS best_value,
              avg(coalesce(winner_value - original_value, 0)) AS gain,
              CASE WHEN count(placebo_value) > 0 THEN avg(coalesce(placebo_value - original_value, 0)) END
                  AS placebo_gain
         FROM (
              SELECT b.run, b.run_id, b.target_id, b.grader, max(b.original_value) AS original_value,
                     max(CASE WHEN b.arm = 'search' THEN b.mean_value END) AS winner_value,
                     max(CASE WHEN b.arm = 'placebo' THEN b.mean_value END) AS placebo_value
                FROM leaderboard b
               WHERE b.kind = 'confirm'
               GROUP BY b.run, b.run_id, b.target_id, b.grader
              ) one
        WHERE original_value IS NOT NULL
        GROUP BY run, run_id
       ) f ON f.run = r.name AND f.run_id = r.id;

-- What each round measured, by dataset, model, grader and arm. Only rounds of one kind compare.
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
 WHERE p.step = 'answer'
 GROUP BY r.name, p.run_id, p.round, p.kind, t.dataset, t.model, i.grader, c.arm;

-- Every candidate and all it was made from: itself (generations 0), its parents, theirs. An ancestor that is
-- reached by several ways has one row, for the shortest.
CREATE VIEW lineage AS
WITH RECURSIVE line (candidate_id, ancestor_id, generations) AS (
    SELECT id, id, 0 FROM candidates
    UNION
    SELECT l.candidate_id, p.parent_id, l.generations + 1
      FROM line l
      JOIN candidate_parents p ON p.candidate_id = l.ancestor_id
)
SELECT r.name AS run, a.run_id, a.target_id, n.candidate_id, n.generations, n.ancestor_id, a.round, a.arm, a.ordinal,
       a.operator, a.author, a.verdict, a.question
  FROM (SELECT candidate_id, ancestor_id, min(generations) AS generations
          FROM line
         GROUP BY candidate_id, ancestor_id) n
  JOIN candidates a ON a.id = n.ancestor_id
  JOIN runs r ON r.id = a.run_id;

-- What became of each operator's candidates: mean_value while searching, winners that were confirmed on fresh draws
-- and their mean gain there, and the pairs that were kept.
CREATE VIEW operator_success AS
SELECT run, run_id, arm, operator, CAST(sum(candidates) AS bigint) AS candidates,
       CAST(sum(accepted) AS bigint) AS accepted, CAST(sum(rejected) AS bigint) AS rejected,
       CAST(sum(leaks) AS bigint) AS leaks, avg(search_value) AS mean_value,
       CAST(sum(winners) AS bigint) AS winners, avg(gain) AS mean_gain, CAST(sum(pairs) AS bigint) AS pairs
  FROM (
       SELECT r.name AS run, c.run_id, c.arm, c.operator, 1 AS candidates,
              CASE WHEN c.verdict = 'accepted' THEN 1 ELSE 0 END AS accepted,
              CASE WHEN c.verdict = 'rejected' THEN 1 ELSE 0 END AS rejected,
              CASE WHEN c.reason LIKE 'leak%' THEN 1 ELSE 0 END AS leaks,
              CAST(NULL AS double precision) AS search_value, 0 AS winners, CAST(NULL AS double precision) AS gain,
              0 AS pairs
         FROM runs r
         JOIN candidates c ON c.run_id = r.id
        UNION ALL
       SELECT run, run_id, arm, operator, 0, 0, 0, 0, CASE WHEN kind = arm THEN mean_value END,
              CASE WHEN kind = 'confirm' THEN 1 ELSE 0 END, CASE WHEN kind = 'confirm' THEN gain END, 0
         FROM leaderboard
        UNION ALL
       SELECT r.name, p.run_id, c.arm, c.operator, 0, 0, 0, 0, NULL, 0, NULL, 1
         FROM runs r
         JOIN pairs p ON p.run_id = r.id
         JOIN candidates c ON c.id = p.candidate_id
       ) one
 WHERE arm <> 'original'
 GROUP BY run, run_id, arm, operator;

-- What the ledger says was used, by round, step and model. Work that is under way counts at its worst case.
CREATE VIEW cost_by_model AS
SELECT r.name AS run, l.run_id, p.round, p.step, p.kind, k.model, count(DISTINCT k.seq) AS tasks,
       CAST(sum(l.calls) AS bigint) AS calls, CAST(sum(l.tokens) AS bigint) AS tokens,
       CAST(sum(l.cost_micros) AS bigint) AS cost_micros
  FROM ledger l
  JOIN tasks k ON k.seq = l.task_seq
  JOIN rounds p ON p.id = k.round_id
  JOIN runs r ON r.id = l.run_id
 GROUP BY r.name, l.run_id, p.round, p.step, p.kind, k.model;

-- One row for each task: when it was planned, given to the queue, begun (where workers say so) and closed. The
-- times are those of its last attempt; attempts counts those that failed.
CREATE VIEW task_latency AS
SELECT r.name AS run, k.run_id, p.round, p.step, p.kind, k.id AS task_id, k.model, k.worker, k.state, k.attempts,
       k.reason, (SELECT count(*) FROM items i WHERE i.task_seq = k.seq) AS items, p.created_at AS planned_at,
       k.dispatched_at, CASE WHEN k.beat_epoch = k.epoch THEN k.started_at END AS started_at, k.closed_at,
       strftime('%Y-%m-%d %H:%M:%S', k.closed_at / 1000000, 'unixepoch') AS closed,
       CAST(k.dispatched_at - p.created_at AS double precision) / 1000000 AS wait_seconds,
       CAST(k.closed_at - k.dispatched_at AS double precision) / 1000000 AS work_seconds
  FROM runs r
  JOIN rounds p ON p.run_id = r.id
  JOIN tasks k ON k.round_id = p.id;

-- What each worker reported. done: its report closed the task. late: the task had been given to another worker, or
-- closed by one, before the report came. failed: the rest; the task was sent back or given up.
CREATE VIEW worker_activity AS
SELECT run, run_id, worker, count(*) AS reports,
       CAST(sum(done) AS bigint) AS done, CAST(sum(late) AS bigint) AS late,
       CAST(sum(1 - done - late) AS bigint) AS failed,
       CAST(sum(calls) AS bigint) AS calls, CAST(sum(tokens) AS bigint) AS tokens,
       CAST(sum(cost_micros) AS bigint) AS cost_micros, min(created_at) AS first_at, max(created_at) AS last_at
  FROM (
       SELECT r.name AS run, l.run_id, l.worker, l.created_at,
              CASE WHEN k.state = 'done' AND k.epoch = l.epoch AND k.worker = l.worker THEN 1 ELSE 0 END AS done,
              CASE WHEN x.seq IS NOT NULL
                     OR (k.state = 'done' AND k.epoch = l.epoch AND k.worker <> l.worker) THEN 1 ELSE 0 END AS late,
              l.calls + coalesce(v.calls, 0) AS calls, l.tokens + coalesce(v.tokens, 0) AS tokens,
              l.cost_micros + coalesce(v.cost_micros, 0) AS cost_micros
         FROM ledger l
         JOIN tasks k ON k.seq = l.task_seq
         JOIN runs r ON r.id = l.run_id
         -- What the first report of an attempt gave back is in its row, with a minus.
         LEFT JOIN ledger v ON v.task_seq = l.task_seq AND v.epoch = l.epoch AND v.kind = 'reserve'
               AND NOT EXISTS (SELECT 1 FROM ledger e
                                WHERE e.task_seq = l.task_seq AND e.epoch = l.epoch AND e.kind = 'settle'
                                  AND e.seq < l.seq)
         LEFT JOIN ledger x ON x.task_seq = l.task_seq AND x.epoch = l.epoch AND x.kind = 'expire'
        WHERE l.kind = 'settle'
       ) one
 GROUP BY run, run_id, worker;
