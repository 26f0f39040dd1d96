"""Runs the cells of (task, seed, method) that have no result yet, and writes one file for each.

Whatever is interrupted is run again, with the answers that are known by then. See README.md.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import urllib.request

import tasks
from cell import INPUT
from gateway import TOGETHER, Gateway, Upstream
from labels import verdict
from memo import Memo
from methods.promptimal import VARIANTS as CHANGES
from redact import Redactor

HERE = pathlib.Path(__file__).resolve().parent
RESULTS = HERE / "results"
MODEL = "smollm2-135m-instruct"
BUDGETS = [200, 600, 1500]
# Where Promptimal's incumbents are tested along the way: when does it reach the peers' level?
MOMENTS = [100, 200, 300, 450, 600, 750, 1000, 1250, 1500]
# What a method may use at most, run by run. MIPROv2 plans for its budget; the others are stopped at any.
RUNS = {
    "start": [1500],
    "mipro": BUDGETS,
    "gepa": [1500],
    "capo": [1500],
    "evoprompt": [1500],
    "opro": [1500],
    "dspy-rs": [1500],
    "promptimal": [1500],
}
OURS = "promptimal"
# With one thing changed (methods/promptimal.py): what that thing is worth. Run where they are named.
VARIANTS = [f"{OURS}+{name}" for name in CHANGES if name]
RUNS |= {variant: [1500] for variant in VARIANTS}
# Test examples of a quick look.
QUICK_TEST = 30
# A method whose every step repeats what it has in its cache would never use up its calls.
IDLE_SECONDS = 1800


def serve(options):
    """`promptimal serve` on a free port."""
    command = [options.program, "serve", "--model", options.model, "--listen", "127.0.0.1:0"]
    command += ["--rows", str(TOGETHER), "--queue", "256"]
    # Several harnesses may share a folder: what one has computed the others know.
    log = open(options.folder / f"serve.{os.getpid()}.log", "w+")
    process = subprocess.Popen(command, stdout=log, stderr=log)
    return process, log


def listening(process, log, patience=120):
    """The port that the server says it listens on."""
    until = time.monotonic() + patience
    while time.monotonic() < until and process.poll() is None:
        log.seek(0)
        found = re.findall(r"127\.0\.0\.1:(\d+)", log.read())
        for port in reversed(found):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                    return int(port)
            except OSError:
                pass
        time.sleep(0.5)
    sys.exit("promptimal serve does not start: see its log")


def job(task, seed, method, budget, url, pool, folder, program):
    """What a method is told. `tests/job.json` shows it to the program that is not Python."""
    return {
        "task": task, "seed": seed, "method": method, "budget": budget, "url": url,
        "labels": tasks.LABELS[task], "start": tasks.START[task], "initial": tasks.initial(task),
        "pool": [[row.text, row.label] for row in pool],
        "folder": str(folder), "program": str(program),
    }  # fmt: skip


class Bench:
    def __init__(self, options, gateway):
        self.options, self.gateway = options, gateway

    def cell(self, task, seed, method, budget):
        """Runs one cell and gives its result, or None where the method's process failed."""
        called = name(task, seed, method, budget)
        found = tasks.rows(task)
        pool, test = (tasks.tuned if self.options.tuning else tasks.split)(found, task, seed)
        test = test[:QUICK_TEST] if self.options.quick else test
        account, url = self.gateway.open(called, budget, tasks.digest(task, seed, method, budget))
        account.method = method
        folder = home(self.options) / called
        folder.mkdir(exist_ok=True)
        told = job(task, seed, method, budget, url, pool, folder, self.options.program)
        (folder / "job.json").write_text(json.dumps(told))
        before, started = self.gateway.upstream.computed, time.monotonic()
        ended = self.watch(folder, account)
        seconds = time.monotonic() - started
        if account.failed:
            sys.exit(f"{called}: {account.failed}")
        if ended == "failed":
            return None
        computed = self.gateway.upstream.computed - before
        (folder / "incumbents.json").write_text(json.dumps(account.incumbents))
        result = {
            "task": task, "seed": seed, "method": method, "budget": budget, "ended": ended,
            "calls": account.calls, "refused": account.refused, "repeated": account.repeated,
            "target": account.target, "proposer": account.proposer,
            "seconds": round(seconds, 1), "computed": computed, "load": os.getloadavg()[0],
        }  # fmt: skip
        moments = [moment for moment in (MOMENTS if is_ours(method) else BUDGETS) if moment <= budget]
        return result | self.judged(account, task, found, test, moments)

    def watch(self, folder, account):
        """Runs the method's process until it ends, has used its calls up, or asks nothing for long."""
        environment = os.environ | {
            "PYTHONHASHSEED": "0", "DSPY_CACHEDIR": str(folder / "dspy"), "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }  # fmt: skip
        with open(folder / "log", "w") as log:
            process = subprocess.Popen(
                [sys.executable, HERE / "cell.py", folder / "job.json"],
                stdout=log, stderr=log, env=environment, start_new_session=True,
            )  # fmt: skip
        try:
            ended = self.wait(process, account)
        finally:
            stop(process)
        if ended == "done" and process.returncode:
            tail = (folder / "log").read_text()[-3000:]
            print(f"{folder.name} failed:\n{tail}", file=sys.stderr, flush=True)
            return "failed"
        return ended

    @staticmethod
    def wait(process, account):
        last, since = -1, time.monotonic()
        while process.poll() is None:
            if account.closed.wait(0.2):
                # Promptimal tells of its past at its end.
                grace = time.monotonic() + (60 if is_ours(account.method) else 1)
                while process.poll() is None and time.monotonic() < grace:
                    time.sleep(0.1)
                return "calls"
            if account.calls != last:
                last, since = account.calls, time.monotonic()
            if time.monotonic() - since > IDLE_SECONDS:
                return "idle"
        return "done"

    def judged(self, account, task, found, test, moments):
        """The incumbents at each moment with the outcome of each test example."""
        hide, points, known = Redactor(found).hide, [], {}
        for moment in moments:
            at = account.at(moment)
            key = json.dumps(at["messages"])
            if key not in known:
                known[key] = self.outcomes(at["messages"], task, test)
            shown = [message | {"content": hide(message["content"])} for message in at["messages"]]
            points.append(
                {
                    "calls": moment, "since": at["calls"], "validation": at["validation"], "note": at["note"],
                    "messages": shown, "right": known[key][0], "unread": known[key][1],
                }  # fmt: skip
            )
        changes = [[i["calls"], i["validation"]] for i in account.incumbents]
        return {"points": points, "incumbents": changes}

    def outcomes(self, messages, task, test):
        """("0110…" for the test examples in order, how many replies named no label or several)."""

        def asked(row):
            turns = [turn | {"content": turn["content"].replace(INPUT, row.text)} for turn in messages]
            said = verdict(self.gateway.test(turns), tasks.LABELS[task])
            return said == row.label, said is None

        with concurrent.futures.ThreadPoolExecutor(TOGETHER) as threads:
            replies = list(threads.map(asked, test))
        return "".join("01"[right] for right, _ in replies), sum(unread for _, unread in replies)


def is_ours(method):
    return method.partition("+")[0] == OURS


def stop(process):
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            return
        try:
            process.wait(5)
            return
        except subprocess.TimeoutExpired:
            pass


def cells(options):
    """All cells in the order of their worth: the first seed of each task for all methods, then the next."""
    order = ((seed, task, method) for seed in options.seeds for task in options.tasks for method in options.methods)
    runs = lambda method: BUDGETS[:1] if options.quick else RUNS[method]
    return [(task, seed, method, budget) for seed, task, method in order for budget in runs(method)]


def name(task, seed, method, budget):
    return f"{task}.{seed}.{method}.{budget}"


def path(options, cell):
    """Where a cell's result is kept."""
    return (home(options) if options.quick or options.tuning else RESULTS) / f"{name(*cell)}.json"


def home(options):
    """Where cells work: what is tuned by, or looked at quickly, must not meet what a cell of the table has left."""
    return options.folder / ("quick" if options.quick else "tuning" if options.tuning else "")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", type=pathlib.Path, required=True, help="promptimal, a release build")
    parser.add_argument("--model", default=MODEL, help="what `promptimal serve` is given")
    parser.add_argument("--folder", type=pathlib.Path, default=HERE / ".cells", help="answers, logs and whole prompts")
    parser.add_argument("--tasks", nargs="*", default=list(tasks.LABELS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--methods", nargs="*", default=[method for method in RUNS if method not in VARIANTS])
    parser.add_argument("--minutes", type=float, default=1e9, help="no new cell is begun after so many")
    parser.add_argument("--quick", action="store_true", help="200 calls and 30 test examples, to see that all works")
    parser.add_argument("--tuning", action="store_true", help="tests on rows that are in no test, to change a search by")
    options = parser.parse_args()
    # So that what was started is stopped too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    options.folder.mkdir(parents=True, exist_ok=True)
    home(options).mkdir(exist_ok=True)
    RESULTS.mkdir(exist_ok=True)
    left = [cell for cell in cells(options) if not path(options, cell).exists()]
    until = time.monotonic() + options.minutes * 60
    process, log = serve(options)
    try:
        upstream = Upstream(listening(process, log), options.model, Memo(options.folder / "answers.sqlite"))
        bench = Bench(options, Gateway(upstream))
        for cell in left:
            if time.monotonic() > until:
                break
            begun = time.monotonic()
            result = bench.cell(*cell)
            if result is None:
                # A method that broke has no result; what it said is in its log.
                continue
            path(options, cell).write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
            last = result["points"][-1]["right"]
            rate = result["computed"] / max(result["seconds"], 1e-9)
            print(
                *cell, result["ended"], f"{last.count('1') / len(last):.3f}", f"{result['calls']} calls",
                f"{result['seconds']:.0f} s, {rate:.1f} computed/s, with test {time.monotonic() - begun:.0f} s",
                flush=True,
            )  # fmt: skip
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    main()
