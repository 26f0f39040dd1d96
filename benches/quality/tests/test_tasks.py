import unittest

from redact import Redactor
from tasks import LABELS, Row, data, rows, split, tuned

MADE = [Row(f"sentence number {i} of many here", "positive") for i in range(50)]


class Split(unittest.TestCase):
    def test_the_test_is_the_same_for_all_seeds_and_never_in_a_pool(self):
        pools = []
        for seed in range(3):
            pool, test = split(MADE, "sst2", seed, test=10, pool=30)
            self.assertEqual((len(pool), len(test)), (30, 10))
            self.assertFalse({row.text for row in pool} & {row.text for row in test})
            self.assertEqual(test, split(MADE, "sst2", 0, test=10, pool=30)[1])
            pools.append(pool)
        self.assertNotEqual(pools[0], pools[1])

    def test_what_a_search_is_changed_by_is_in_no_test(self):
        hidden = set(split(MADE, "sst2", 0, test=10, pool=20)[1])
        for seed in range(3):
            pool, seen = tuned(MADE, "sst2", seed, test=10, pool=20)
            self.assertEqual((len(pool), len(seen)), (20, 10))
            self.assertFalse(hidden & set(pool + seen) or set(pool) & set(seen))
            self.assertNotEqual(pool, split(MADE, "sst2", seed, test=10, pool=20)[0])

    def test_the_order_of_the_rows_does_not_matter(self):
        self.assertEqual(split(MADE, "subj", 1, 10, 30), split(MADE[::-1], "subj", 1, 10, 30))

    @unittest.skipUnless(data().exists(), "no classification data: set PROMPTIMAL_DATA")
    def test_the_rows_of_each_task_suffice(self):
        for task in LABELS:
            found = rows(task)
            self.assertEqual(len({row.text for row in found}), len(found))
            pool, test = split(found, task, 0)
            self.assertEqual((len(pool), len(test)), (300, 300))
            for label in LABELS[task]:
                share = sum(row.label == label for row in test) / len(test)
                self.assertGreater(share, 0.7 / len(LABELS[task]))


class Redaction(unittest.TestCase):
    def setUp(self):
        self.rows = [Row("the cat sat on the mat and slept all day", "positive"), Row("so very bad", "negative")]
        self.hide = Redactor(self.rows).hide

    def test_a_row_in_a_prompt_becomes_its_hash(self):
        said = f'Classify.\nInput: "{self.rows[0].text}" -> positive\nInput: {self.rows[1].text}\n'
        first, second = (row.hash for row in self.rows)
        self.assertEqual(self.hide(said), f'Classify.\nInput: "[row {first}]" -> positive\nInput: [row {second}]\n')

    def test_a_piece_of_a_row_is_hidden_too(self):
        self.assertEqual(self.hide("as in Sat on the mat, and slept."), f"as in [row {self.rows[0].hash}].")

    def test_other_words_stay(self):
        said = "the cat sat on a chair; it was bad"
        self.assertEqual(self.hide(said), said)
