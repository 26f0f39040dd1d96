"""The table of docs/benchmarks.md from the files in `results/`."""

import datetime
import json
import os
import pathlib
import platform
import re
import statistics
import sys

import numpy

import stats
from harness import BUDGETS, MOMENTS, OURS, RESULTS, RUNS, VARIANTS
from methods.promptimal import plain
from tasks import LABELS

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from tables import processor, put

NAMES = {
    "promptimal": "promptimal",
    "start": "start prompt",
    "mipro": "DSPy MIPROv2",
    "gepa": "GEPA",
    "capo": "CAPO",
    "evoprompt": "EvoPrompt GA",
    "opro": "OPRO",
    "dspy-rs": "dspy-rs GEPA",
}
# What is changed in a variant of Promptimal.
NAMED = {
    OURS: "all",
    f"{OURS}+shown": "demonstrations alone (`shots`, `bootstrapped`, `corrected`, `crossover`)",
    f"{OURS}+unwritten": "nothing that a proposer writes (the same, `answer_form`, `frame`)",
    f"{OURS}+written": "only what a proposer writes (the other five)",
    f"{OURS}+even": "all eleven, drawn equally often",
    f"{OURS}+alike": "no race: each new prompt on 24 examples",
}
PEERS = [method for method in NAMES if method not in (OURS, "start")]


class Results:
    """The cells that are there, and of those the ones that every method has."""

    def __init__(self, folder=RESULTS):
        self.cells = {}
        for file in sorted(folder.glob("*.json")):
            cell = json.loads(file.read_text())
            self.cells[cell["task"], cell["seed"], cell["method"], cell["budget"]] = cell
        self.methods = [m for m in NAMES if any(key[2] == m for key in self.cells)]
        whole = {(t, s) for t, s, _, _ in self.cells if all(self.complete(t, s, m) for m in self.methods)}
        self.seeds = {task: sorted(s for t, s in whole if t == task) for task in LABELS}
        self.seeds = {task: seeds for task, seeds in self.seeds.items() if seeds}

    def complete(self, task, seed, method):
        return all((task, seed, method, budget) in self.cells for budget in RUNS[method])

    def cell(self, task, seed, method, calls):
        """The run that says what a method has after so many calls: its smallest that goes so far."""
        return self.cells[task, seed, method, min(budget for budget in RUNS[method] if budget >= calls)]

    def point(self, task, seed, method, calls):
        points = self.cell(task, seed, method, calls)["points"]
        return next(point for point in points if point["calls"] == calls)

    def outcomes(self, calls, methods=None, seeds=None):
        """{task: {method: (seeds, examples)}} after so many calls, by default of what all methods have."""
        return {
            task: {
                method: numpy.array(
                    [[int(c) for c in self.point(task, seed, method, calls)["right"]] for seed in seeds], dtype=numpy.int8
                )
                for method in methods or self.methods
            }
            for task, seeds in (seeds or self.seeds).items()
        }

    def shared(self, *methods):
        """{task: seeds} of the runs to the last budget that each of these has."""
        whole = [{(t, s) for t, s, m, calls in self.cells if (m, calls) == (method, BUDGETS[-1])} for method in methods]
        both = set.intersection(*whole)
        return {task: sorted(s for t, s in both if t == task) for task in sorted({t for t, _ in both})}

    def pairs(self):
        return [(task, seed) for task, seeds in self.seeds.items() for seed in seeds]


def percent(share, signed=False):
    return f"{100 * share:{'+' if signed else ''}.1f}"


def between(drawn, signed=False):
    return " to ".join(percent(end, signed) for end in stats.interval(drawn))


def accuracies(results):
    at = {calls: results.outcomes(calls) for calls in BUDGETS}
    drawn = {calls: stats.draws(outcomes) for calls, outcomes in at.items()}
    mean = {calls: stats.means(outcomes) for calls, outcomes in at.items()}
    tasks = list(results.seeds)
    alone = {task: stats.means({task: at[BUDGETS[-1]][task]}) for task in tasks}
    head = [f"{calls:,} calls" for calls in BUDGETS] + [f"{task} at {BUDGETS[-1]:,}" for task in tasks]
    lines = ["| method | " + " | ".join(head) + " |", "| --- |" + " ---: |" * len(head)]
    for method in results.methods:
        cells = [f"{percent(mean[c][method])} ({between(drawn[c][method])})" for c in BUDGETS]
        cells += [percent(alone[task][method]) for task in tasks]
        lines.append(f"| {NAMES[method]} | " + " | ".join(cells) + " |")
    return lines, mean, drawn


def level(results, method, wanted):
    """The first moment at which a method's mean is at a level, of those at which it was tested."""
    for calls in MOMENTS if method == OURS else BUDGETS:
        if stats.means(results.outcomes(calls, [method]))[method] >= wanted:
            return calls
    return None


def costs(results, wanted):
    head = ["calls", "its choice found after", "calls to the best peer's level", "own estimate − test", "replies without a label", "demonstrations",
            "proposer calls", "tokens read + written", "s a run"]  # fmt: skip
    lines = ["| method | " + " | ".join(head) + " |", "| --- |" + " ---: |" * len(head)]
    last = BUDGETS[-1]
    for method in results.methods:
        cells = [results.cell(task, seed, method, last) for task, seed in results.pairs()]
        points = [cell["points"][-1] for cell in cells]
        gaps = [p["validation"] - p["right"].count("1") / len(p["right"]) for p in points if p["validation"] is not None]
        shots = [(p["note"] or {}).get("shots", 0) for p in points]
        mean = lambda values: statistics.mean(values)
        reached = level(results, method, wanted)
        lines.append(
            f"| {NAMES[method]} | {mean([cell['calls'] for cell in cells]):,.0f} | "
            f"{mean([point['since'] for point in points]):,.0f} | {f'{reached:,}' if reached else '–'} | "
            f"{percent(mean(gaps), True) if gaps else '–'} | "
            f"{percent(mean([p['unread'] / len(p['right']) for p in points]))}% | {mean(shots):.1f} | "
            f"{mean([cell['proposer']['calls'] for cell in cells]):,.0f} | "
            f"{mean([cell['proposer']['prompt_tokens'] for cell in cells]):,.0f} + "
            f"{mean([cell['proposer']['completion_tokens'] for cell in cells]):,.0f} | "
            f"{mean([cell['seconds'] for cell in cells]):,.0f} |"
        )
    return lines


def goals(results, mean, drawn, wanted):
    if OURS not in results.methods:
        return ["Promptimal has no results here yet: the goals cannot be judged."]
    peers = [peer for peer in PEERS if peer in results.methods]
    lines = []
    for calls in BUDGETS:
        gain = drawn[calls][OURS] - numpy.mean([drawn[calls][peer] for peer in peers], axis=0)
        ours = mean[calls][OURS] - statistics.mean(mean[calls][peer] for peer in peers)
        best = max(peers, key=lambda peer: mean[calls][peer])
        ahead = mean[calls][best] - mean[calls][OURS]
        lines.append(
            f"* After {calls:,} calls Promptimal is {percent(ours, True)} points ({between(gain, True)}) from the mean of the "
            f"peers; the best of them, {NAMES[best]}, is {percent(ahead, True)} from Promptimal "
            f"({between(drawn[calls][best] - drawn[calls][OURS], True)})."
        )
    reached = level(results, OURS, wanted)
    lines.append(
        f"* The best peer's level after {BUDGETS[-1]:,} calls, {percent(wanted)}, "
        + (f"is reached by Promptimal within {reached:,} calls." if reached else "is not reached by Promptimal.")
    )
    return lines


def ablation(results):
    """What the parts of Promptimal are worth: each variant on the tasks and seeds that it has been run on, less the whole on
    the same. The whole stands in the first row, on those that all variants have."""
    last = BUDGETS[-1]
    head = ["on", *(f"{calls:,} calls" for calls in BUDGETS), f"less all, at {last:,}"]
    lines = ["| Promptimal | " + " | ".join(head) + " |", "| --- | --- |" + " ---: |" * (len(head) - 1)]
    known = [variant for variant in VARIANTS if results.shared(variant, OURS)]
    for method in [OURS, *known]:
        # The whole on what all of them have, where there is such, so that rows compare.
        seeds = results.shared(method, OURS) if method in known else results.shared(OURS, *known)
        if not seeds:
            continue
        at = {calls: results.outcomes(calls, [method, OURS], seeds) for calls in BUDGETS}
        cells = [", ".join(f"{task} {seed}" for task in seeds for seed in seeds[task])]
        cells += [percent(stats.means(at[calls])[method]) for calls in BUDGETS]
        mean, drawn = stats.means(at[last]), stats.draws(at[last])
        less = f"{percent(mean[method] - mean[OURS], True)} ({between(drawn[method] - drawn[OURS], True)})"
        cells.append("–" if method == OURS else less)
        lines.append(f"| {NAMED[method]} | " + " | ".join(cells) + " |")
    return lines


def operators(results):
    """What each operator made in Promptimal's runs of the table, and in how many of them it had a part in the last choice."""
    notes = [results.point(task, seed, OURS, BUDGETS[-1])["note"] or {} for task, seed in results.pairs()]
    notes = [note for note in notes if "operators" in note]
    if not notes:
        return []
    head = ["prompts tried", "refused", "better than their parent", "made the choice", "in the choice's line"]
    lines = ["| operator | " + " | ".join(head) + " |", "| --- |" + " ---: |" * len(head)]
    for name in dict.fromkeys(name for note in notes for name in note["operators"]):
        made = [note["operators"][name] for note in notes if name in note["operators"]]
        mean = lambda what: sum(m[what] for m in made) / len(notes)
        better = sum(m["better"] * m["of"] for m in made) / max(sum(m["of"] for m in made), 1)
        chosen = sum(plain(note["operator"]) == name for note in notes)
        lines.append(
            f"| `{name}` | {mean('tried'):.1f} | {mean('refused'):.1f} | {percent(better)}% | {chosen} | "
            f"{sum(name in note['line'] for note in notes)} |"
        )
    said = (
        f"What each operator made in a run to {BUDGETS[-1]:,} calls, mean of {len(notes)}, and in how many of them it made the "
        "choice or one of its ancestors:"
    )
    return ["", said, "", *lines]


def versions():
    """The peers, as they are pinned."""
    crate = re.search(r'^dspy-rs = "=(.+)"$', (HERE / "dspy-rs" / "Cargo.toml").read_text(), re.MULTILINE)
    return [*(HERE / "requirements.txt").read_text().split(), f"dspy-rs=={crate[1]}"]


PARTS = (
    "What the parts of Promptimal are worth, task and seed named; intervals are over test examples alone, and say nothing of how "
    "another search with another seed would have come out:"
)


def report(results):
    parts, mean, drawn = accuracies(results)
    peers = [peer for peer in PEERS if peer in results.methods]
    wanted = max(mean[BUDGETS[-1]][peer] for peer in peers)
    seeds = ", ".join(f"{task} with seeds {', '.join(map(str, seeds))}" for task, seeds in results.seeds.items())
    load = [cell["load"] for cell in results.cells.values()]
    head = (
        f"{datetime.date.today()}: {len(os.sched_getaffinity(0))} cores ({processor()}), Python {platform.python_version()}, "
        f"{', '.join(versions())}; {seeds}. Test accuracy in percent, 95% intervals in "
        f"brackets. Load average {min(load):.1f} to {max(load):.1f}: seconds say little."
    )
    made = [PARTS, "", *ablation(results), *operators(results)]
    return "\n".join([head, "", *parts, "", *costs(results, wanted), "", *goals(results, mean, drawn, wanted), "", *made])


if __name__ == "__main__":
    found = Results()
    if not found.seeds:
        sys.exit("no task has all methods yet")
    written = report(found)
    print(written)
    if "--print" not in sys.argv:
        put("quality", written)
