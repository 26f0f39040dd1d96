import json
import pathlib
import random
import tempfile
import unittest

from harness import BUDGETS, MOMENTS, RUNS, is_ours
from table import NAMED, Results, ablation, operators, report


def cell(task, seed, method, budget, share):
    """A result whose share of right outcomes is known."""
    drawn = random.Random(f"{task} {seed} {method} {budget}")
    points = []
    for calls in (m for m in (MOMENTS if is_ours(method) else BUDGETS) if m <= budget):
        right = "".join("01"[drawn.random() < share(calls)] for _ in range(300))
        messages = [{"role": "user", "content": "?"}]
        points.append(
            {"calls": calls, "since": 0, "validation": 0.9, "note": {"shots": 2}, "messages": messages, "right": right, "unread": 3}
        )
    return {
        "task": task, "seed": seed, "method": method, "budget": budget, "ended": "calls", "calls": budget, "refused": 1,
        "repeated": 0, "target": {}, "proposer": {"calls": 5, "prompt_tokens": 10, "completion_tokens": 20}, "seconds": 9.0,
        "computed": 7, "load": 1.0, "points": points, "incumbents": [],
    }  # fmt: skip


class Table(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        shares = {"promptimal": lambda calls: 0.6 if calls < 450 else 0.9, "capo": lambda _: 0.75}
        for seed in (0, 1):
            for method, budgets in RUNS.items():
                for budget in budgets:
                    self.put(cell("sst2", seed, method, budget, shares.get(method, lambda _: 0.6)))
        # Not all methods have it yet.
        self.put(cell("subj", 0, "capo", 1500, lambda _: 0.5))

    def put(self, made):
        name = "{task}.{seed}.{method}.{budget}.json".format(**made)
        (self.folder / name).write_text(json.dumps(made))

    def test_only_what_all_methods_have_is_compared(self):
        self.assertEqual(Results(self.folder).seeds, {"sst2": [0, 1]})

    def test_a_method_that_plans_for_its_budget_is_read_from_the_run_for_it(self):
        results = Results(self.folder)
        read = [results.cell("sst2", 0, "mipro", calls)["budget"] for calls in (100, 200, 600, 1500)]
        self.assertEqual(read, [200, 200, 600, 1500])

    def test_the_goals_are_judged_on_what_was_found(self):
        written = report(Results(self.folder))
        self.assertIn("is reached by Promptimal within 450 calls", written)
        row = next(line for line in written.splitlines() if line.startswith("| promptimal |"))
        self.assertEqual(row.count(" to "), len(BUDGETS))
        late, early = (next(l for l in written.splitlines() if f"After {calls:,} calls" in l) for calls in (BUDGETS[2], 200))
        self.assertIn("Promptimal is +2", late)
        self.assertIn("the best of them, CAPO, is +1", early)

    def test_what_a_part_is_worth_stands_beside_the_whole(self):
        written = ablation(Results(self.folder))
        whole, part = (next(l for l in written if l.startswith(f"| {name} |")) for name in ("all", NAMED["promptimal+written"]))
        self.assertIn("| – |", whole)
        self.assertRegex(part, r"\| -[23]\d\.\d \(-")
        (self.folder / "sst2.1.promptimal+even.1500.json").unlink()
        left = ablation(Results(self.folder))
        self.assertIn("| sst2 0 |", next(l for l in left if NAMED["promptimal+even"] in l))
        self.assertIn("| sst2 0 |", next(l for l in left if l.startswith("| all |")), "rows have to compare")
        (self.folder / "sst2.0.promptimal+even.1500.json").unlink()
        self.assertNotIn(NAMED["promptimal+even"], "\n".join(ablation(Results(self.folder))))

    def test_what_each_operator_did_is_counted_over_the_runs(self):
        self.assertEqual(operators(Results(self.folder)), [])
        for seed, tried in ((0, 4), (1, 1)):
            found = cell("sst2", seed, "promptimal", 1500, lambda _: 0.7)
            made = {"shots": {"tried": tried, "refused": 1, "better": 0.5, "of": tried}}
            found["points"][-1]["note"] = {"operator": "shorten@1", "line": ["shorten", "shots"][seed:], "operators": made}
            self.put(found)
        row = next(line for line in operators(Results(self.folder)) if line.startswith("| `shots`"))
        self.assertEqual(row, "| `shots` | 2.5 | 1.0 | 50.0% | 0 | 2 |")


if __name__ == "__main__":
    unittest.main()
