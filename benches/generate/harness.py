"""Measures both engines in turn, several times, and rewrites the table of docs/benchmarks.md.

Every run is a process of its own and the engines take turns, so that what else the machine does hits them alike. Both must
say the same, as far as rounding lets them, or nothing is written.

Two threads are timed by the wall, and only while the machine does nothing else: llama.cpp's threads wait for each other
without sleeping, and lose nearly everything when one of them is not running. One thread is timed by the processor's time
that it got, which says something on a busy machine too.
"""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

import report
import texts

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from tables import put

# How much of the machine others may use while the wall's time is taken.
QUIET = 0.15

HOW = {"two": {"threads": 2, "clock": "wall"}, "one": {"threads": 1, "clock": "cpu"}}

# What llama.cpp is tried with; what is best in a part is measured.
ALONE = [{"flash": flash} for flash in (0, 1)]
TOGETHER = [{"flash": flash, "unified": unified} for unified, flash in ((False, 0), (False, 1), (True, 0), (True, 1))]
QUESTIONS = [
    {"flash": 1, "unified": way == "one", "block": block, "way": way, "micro": micro}
    for way, block, micro in (("one", 1, 512), ("one", 4, 1024), ("one", 8, 2048), ("two", 8, 2048))
]


def call(command, threads=2, clock="wall"):
    """What a program prints, and how much of the machine others used meanwhile."""
    named = {"THREADS": str(threads), "CLOCK": clock, "RAYON_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    own, busy, started = own_seconds(), busy_seconds(), time.monotonic()
    done = subprocess.run([*map(str, command)], env=os.environ | named, capture_output=True, text=True)
    wall = time.monotonic() - started
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stderr[-4000:]}")
    others = busy_seconds() - busy - (own_seconds() - own)
    return json.loads(done.stdout.splitlines()[-1]) | {"others": max(0.0, others / wall / os.cpu_count())}


def own_seconds():
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def busy_seconds():
    user, nice, system, _, _, *rest = map(int, open("/proc/stat").readline().split()[1:])
    return (user + nice + system + sum(rest[:3])) / os.sysconf("SC_CLK_TCK")


def quiet(until):
    """Whether the machine does nothing else, before then."""
    while time.monotonic() < until:
        busy = busy_seconds()
        time.sleep(2)
        if (busy_seconds() - busy) / 2 / os.cpu_count() < QUIET:
            return True
    return False


def run(engine, options, settings, how):
    tasks = options.folder / "tasks.json"
    command = [options.program, "measure", options.model, tasks, engine]
    if engine == "peer":
        command = [sys.executable, HERE / "peer.py", options.model, tasks, json.dumps(settings)]
    until = time.monotonic() + options.patience
    while how["clock"] == "cpu" or quiet(until):
        load = os.getloadavg()[0]
        done = call(command, **how) | {"load": load}
        if how["clock"] == "cpu" or done["others"] < QUIET:
            return done
    return None


def prepare(options):
    options.folder.mkdir(parents=True, exist_ok=True)
    options.model = options.folder / "smollm2-135m-instruct.Q8_0.gguf"
    if not options.model.exists():
        call([options.program, "make", options.model])
    written = options.folder / "texts.json"
    written.write_text(json.dumps(texts.texts(options.questions)))
    return call([options.program, "tokens", options.model, written, options.folder / "tasks.json"])


def tune(options):
    """The settings that llama.cpp is quickest with in each part, and what was tried."""
    best, tried = {"alone": ALONE[0], "together": TOGETHER[0], "questions": QUESTIONS[0]}, {}
    for i in range(max(map(len, (ALONE, TOGETHER, QUESTIONS)))):
        pick = lambda choices: choices[i % len(choices)]
        settings = {"alone": pick(ALONE), "together": pick(TOGETHER), "questions": pick(QUESTIONS)}
        done = run("peer", options, settings, HOW["one"])
        for part, setting in settings.items():
            rates = tried.setdefault(part, {}).setdefault(json.dumps(setting), [])
            rates.append(statistics.median(done[part]))
        print("tried", settings, {part: round(done[part][0], 1) for part in settings}, file=sys.stderr, flush=True)
    for part, rates in tried.items():
        best[part] = json.loads(max(rates, key=lambda setting: max(rates[setting])))
    return best, tried


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", type=pathlib.Path, required=True)
    parser.add_argument("--folder", type=pathlib.Path, default=HERE / ".model", help="150 MB for the model")
    parser.add_argument("--questions", type=int, default=24)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--patience", type=float, default=600, help="seconds to wait for a quiet machine before each run")
    parser.add_argument("--quick", action="store_true", help="one run, few questions, nothing tried or written")
    parser.add_argument("--again", action="store_true", help="the table of what was measured last")
    parser.add_argument("--only", nargs="*", help="these engines alone, for work on ours; nothing is written")
    parser.add_argument("--print", action="store_true", help="print the table and leave the docs alone")
    options = parser.parse_args()
    if options.quick:
        options.runs, options.questions = 1, 8
    lengths = prepare(options)
    settings = {"alone": ALONE[1], "together": TOGETHER[1], "questions": QUESTIONS[0]}
    kept = options.folder / "measured.json"
    if options.again:
        best, tried, runs = json.loads(kept.read_text())
    else:
        best, tried = (settings, {}) if options.quick or options.only else tune(options)
        runs = {how: rounds(how, options, best) for how in HOW}
        kept.write_text(json.dumps([best, tried, runs]))
    if options.only:
        return
    agreement = report.agreement(runs["one"])
    written = report.report(runs, lengths, options, agreement, best, tried)
    print(written)
    if not options.print and not options.quick:
        put("generate", written)


def rounds(how, options, settings):
    """The results of each engine; fewer rounds, perhaps none, where the machine is never quiet."""
    runs = {engine: [] for engine in options.only or report.NAMES}
    for _ in range(options.runs):
        found = {}
        for engine in runs:
            found[engine] = run(engine, options, settings, HOW[how])
            if found[engine] is None:
                print(f"no quiet in {options.patience} s", file=sys.stderr, flush=True)
                return runs
            rates = {part: round(statistics.median(found[engine][part]), 1) for part in report.PARTS}
            print(how, engine, rates, f"others {found[engine]['others']:.0%}", file=sys.stderr, flush=True)
        for engine, result in found.items():
            runs[engine].append(result)
    return runs


if __name__ == "__main__":
    main()
