import pathlib
import sqlite3
import tempfile
import unittest

from cell import INPUT
from methods.promptimal import line, messages

SHOTS = [{"example": "00", "input": "fine film", "output": "positive"}]


class Messages(unittest.TestCase):
    def texts(self, doc):
        return [(turn["role"], turn["content"]) for turn in messages(doc)]

    def test_an_instruction_stands_before_the_input(self):
        self.assertEqual(self.texts({"instruction": "Judge."}), [("user", f"Judge.\n\n{INPUT}")])
        self.assertEqual(self.texts({"instruction": "Judge.", "user": "{input}\n{instruction}"}), [("user", f"{INPUT}\nJudge.")])

    def test_it_is_said_once_and_demonstrations_are_earlier_turns(self):
        for user in ("{input}", "{instruction}\n\n{input}"):
            told = self.texts({"instruction": "Judge.", "user": user, "shots": SHOTS})
            self.assertEqual(told, [("user", "Judge.\n\nfine film"), ("assistant", "positive"), ("user", INPUT)])

    def test_the_system_may_hold_it(self):
        doc = {"instruction": "Judge.", "system": "Be brief. {instruction}", "user": "{input}", "shots": SHOTS}
        told = [("system", "Be brief. Judge."), ("user", "fine film"), ("assistant", "positive"), ("user", INPUT)]
        self.assertEqual(self.texts(doc), told)


class Line(unittest.TestCase):
    def test_it_names_the_operators_of_all_ancestors(self):
        with tempfile.TemporaryDirectory() as folder:
            data = pathlib.Path(folder)
            with sqlite3.connect(data / "promptimal.db") as store:
                store.execute("CREATE TABLE lineage (candidate_id, arm, operator)")
                rows = [("c", "search", "shots@4"), ("c", "search", "shots@4"), ("c", "search", "ga@1")]
                rows += [("c", "original", "none"), ("d", "search", "de@1")]
                store.executemany("INSERT INTO lineage VALUES (?, ?, ?)", rows)
            self.assertEqual(line(data, "c"), ["ga", "shots"])


if __name__ == "__main__":
    unittest.main()
