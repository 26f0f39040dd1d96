-- A judge is asked about answers, after they came and before they are graded.

-- The step's new word, in the text of the table's CHECK: nothing stored changes (as for 'score' and 'train' before).
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
   SET sql = replace(sql, '(''propose'', ''guard'', ''answer'', ''score'', ''train'')',
                     '(''propose'', ''guard'', ''answer'', ''judge'', ''score'', ''train'')')
 WHERE type = 'table' AND name = 'rounds';
PRAGMA writable_schema = RESET;
