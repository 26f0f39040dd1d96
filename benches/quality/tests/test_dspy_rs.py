import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import harness
import tasks
from cell import turns
from gateway import TARGET_TOKENS, Gateway, Upstream
from memo import Memo
from methods import dspy_rs
from tasks import Row

CELL = "sst2.0.dspy-rs.200"
START, BETTER = tasks.START["sst2"], "Say `positive` of what is liked."
ROWS = [Row(f"row {i}", "positive" if i % 4 else "negative") for i in range(100)]


def told(pool, url=f"http://127.0.0.1:1/{CELL}", folder=CELL):
    """What the harness tells; without the data that the bench needs."""
    with mock.patch.object(tasks, "initial", lambda task: [tasks.START[task]]):
        return harness.job("sst2", 0, "dspy-rs", 200, url, pool, folder, "promptimal")


class Shim(unittest.TestCase):
    def test_a_job_is_written_as_the_program_reads_it(self):
        # The program's own test reads the same file: dspy-rs/src/job.rs
        shown = json.loads((pathlib.Path(__file__).parent / "job.json").read_text())
        self.assertEqual(told([Row("fine film", "positive"), Row("so dull", "negative")]), shown)

    def test_a_program_that_is_not_built_is_named(self):
        with mock.patch.dict(os.environ, {"QUALITY_DSPY_RS": "/nowhere"}):
            with self.assertRaisesRegex(FileNotFoundError, "no program /nowhere: .*QUALITY_DSPY_RS"):
                dspy_rs.program()


class Model(Upstream):
    """A target that names the label `negative` until it is asked in other words than at the start, and a proposer that has
    them, without the headings that it was asked for."""

    def call(self, question):
        self.asked.append(question)
        if question["max_tokens"] != TARGET_TOKENS:
            return self.said(BETTER)
        return self.said("negative" if question["messages"][0]["content"].startswith(START) else "It is positive.")

    @staticmethod
    def said(text):
        return {"text": text, "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}


@unittest.skipUnless(os.path.exists(os.environ.get("QUALITY_DSPY_RS") or dspy_rs.BUILT), "the program is not built")
class Whole(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.upstream = Model(0, "model", Memo(self.folder / "answers.sqlite"))
        self.upstream.asked = []
        gateway = Gateway(self.upstream)
        self.addCleanup(gateway.server.server_close)
        self.account, self.url = gateway.open(CELL, 200, "seed")

    def run_cell(self):
        (self.folder / "job.json").write_text(json.dumps(told(ROWS, self.url, self.folder)))
        command = [sys.executable, harness.HERE / "cell.py", self.folder / "job.json"]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)

    def test_a_search_ends_with_its_calls_and_has_told_of_the_better_instruction(self):
        done = self.run_cell()
        self.assertEqual(done.returncode, 0, done.stdout)
        # 80 for the start prompt, 8 to reflect on, 80 for what was proposed, 8 again, and what was left.
        self.assertEqual(self.account.calls, 200)
        found = [(i["calls"], i["validation"], i["messages"]) for i in self.account.incumbents]
        self.assertEqual(found, [(0, None, turns(START)), (80, 0.25, turns(START)), (168, 0.75, turns(BETTER))])

    def test_the_target_is_asked_as_the_bench_asks_it(self):
        self.run_cell()
        asked = [question["messages"] for question in self.upstream.asked if question["max_tokens"] == TARGET_TOKENS]
        self.assertIn(turns(START, text=ROWS[0].text), asked)
        self.assertIn(turns(BETTER, text=ROWS[0].text), asked)

    def test_the_proposer_is_shown_what_was_replied_and_its_own_reflection(self):
        self.run_cell()
        asked = [question for question in self.upstream.asked if question["max_tokens"] != TARGET_TOKENS]
        reflected, proposed = (question["messages"][-1]["content"] for question in asked[:2])
        for shown in ("Input: Example", ROWS[80].text, "It must name exactly one label: 'positive'", START):
            self.assertIn(shown, reflected)
        self.assertIn(f"[[ ## reflection ## ]]\n{BETTER}", proposed)
        settings = [(round(question["temperature"], 3), question["max_tokens"]) for question in asked[:2]]
        self.assertEqual(settings, [(0.8, 256)] * 2)


if __name__ == "__main__":
    unittest.main()
