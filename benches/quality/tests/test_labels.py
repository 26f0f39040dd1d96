import json
import pathlib
import unittest

from labels import fold, verdict


class Labels(unittest.TestCase):
    def test_replies_are_read_as_the_grader_reads_them(self):
        # The product's own test reads the same file: worker-eval/tests/labels_elsewhere.rs
        cases = json.loads((pathlib.Path(__file__).parent / "replies.json").read_text())
        self.assertGreater(len(cases), 200)
        for case in cases:
            self.assertEqual(verdict(case["reply"], case["labels"]), case["names"], case["reply"])

    def test_one_label_must_be_named_as_a_word(self):
        both = ["negative", "positive"]
        self.assertEqual(verdict("It is Positive!", both), "positive")
        self.assertIsNone(verdict("positive or negative", both))
        self.assertIsNone(verdict("positivity", both))
        self.assertEqual(verdict("not spam", ["spam", "not spam"]), "not spam")

    def test_folding_as_in_the_product(self):
        # The examples of crates/domain/src/proposal/fold.rs.
        self.assertEqual(fold("  What's   the CAPITAL — of “France”?\n"), "whats the capital of france")
        self.assertEqual(fold("ﬁve　ｆｉｖｅ Ⅳ"), "five five iv")
        self.assertEqual(fold("a\u200bb\u202ec"), "abc")
        self.assertEqual(fold("x = −2"), fold("X = -2."))
        self.assertNotEqual(fold("x = -2"), fold("x = 2"))
        self.assertEqual(fold("?!…"), "")
