"""Runs every system on the same PostgreSQL and RabbitMQ, interleaved, and writes medians into docs/benchmarks.md.

A repetition runs all systems one after the other, so that a change of the machine meets all of them; ratios are taken
within a repetition. Every run has a database and queues of its own. Every run is checked: as many rows as tasks.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import report
from services import Services, services
from systems import Awa, Bare, Celery, Ours, Peer, Procrastinate, System, line

HERE = Path(__file__).resolve().parent
PARTS = ["compare", "scaling", "million"]
# Workers of the scaling part: so many blocks in hand each, and so many questions for each worker.
HANDS, EACH, DELAY_MS = 16, 1_200, 200


def systems() -> list[System]:
    """Whom to run. The slow ones get fewer tasks: their rates do not grow with them."""
    many, some, few = (4_000, 500, 200) if ARGS.quick else (20_000, 3_000, 1_000)
    own = str(ARGS.programs / "bench-queue")
    alone = lambda tried: [*tried, *(setting | {"threads": 1} for setting in tried[-2:])]
    block_of = lambda block: alone(
        [
            {"block": block, "window": window, "concurrency": concurrency}
            for window, concurrency in [(512, 128), (1_024, 256), (2_048, 512)]
        ]
    )
    batches = alone([{"window": 2_048, "batch": b} for b in (256, 512, 1_024)])
    found = [
        Bare("ceiling", many, [setting | {"plain": True} for setting in batches], program=own),
        Bare("ceiling, tuned", many, batches, program=own),
        Ours("promptimal", many, block_of(1), program=own),
        Ours("promptimal, blocks of 8", many, block_of(8), program=own),
    ]
    if ARGS.awa.exists():
        tried = [
            {"workers": workers, "deadline": deadline, "claimers": claimers}
            for workers, deadline, claimers in [(64, 300, 1), (256, 300, 1), (256, 0, 1), (256, 0, 2)]
        ]
        found.append(Awa("awa 0.6.9", many, tried, program=str(ARGS.awa)))
    return [*found, *in_python(some, few)]


def in_python(some: int, few: int) -> list[System]:
    celery = ["celery", "-A", "peer_celery", "worker", "--without-gossip", "--without-mingle", "-l", "error"]
    dramatiq = ["dramatiq", "peer_dramatiq", "--processes", "{processes}", "--threads", "{threads}"]
    procrastinate = ["procrastinate", "--app", "procrastinate_app.app", "worker", "-c", "{concurrency}"]
    return [
        Peer(
            "dramatiq 2.2.1",
            some,
            [{"processes": p, "threads": t, "command": dramatiq} for p, t in [(1, 8), (2, 4), (2, 8)]],
            file="peer_dramatiq.py",
            tables="CREATE TABLE results (number bigint, result text)",
            counted="SELECT count(*) FROM results",
        ),
        Celery(
            "celery 5.7.0",
            few,
            [
                {"pool": pool, "c": c, "prefetch": prefetch, "command": [*celery, "-P", "{pool}", "-c", "{c}"]}
                for pool, c, prefetch in [("prefork", 2, 64), ("prefork", 4, 64), ("threads", 8, 16)]
            ],
            file="peer_celery.py",
            counted="SELECT count(*) FROM celery_taskmeta WHERE status = 'SUCCESS'",
        ),
        Procrastinate(
            "procrastinate 3.10.0",
            few,
            [{"concurrency": c, "command": procrastinate} for c in (1, 10, 50)],
            file="peer_procrastinate.py",
            counted="SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'",
        ),
    ]


def once(found: Services, system: System, setting: dict, n: int | None = None) -> dict:
    """A run: what it took, and what the machine did meanwhile."""
    n = n or system.n
    load = os.getloadavg()[0]
    with found.fresh() as scene:
        run = system.run(scene, n, setting)
    shown = {key: value for key, value in setting.items() if key != "command"}
    run |= {"system": system.name, "n": n, "setting": shown, "load": load, "rate": n / run["whole_s"]}
    print(
        f"{system.name:24} n {n:8} {json.dumps(shown):55} whole {run['rate']:8.0f}/s  put in {n / run['fill_s']:8.0f}/s"
        f"  drained {n / run['drain_s']:8.0f}/s  machine {100 * run['busy']:3.0f}%"
        f"  {', '.join(f'{name} {1e6 * used / n:.0f}' for name, used in run['servers'].items())} us/task  load {load:.1f}",
        flush=True,
    )
    return run


def tuned(found: Services, system: System, known: list[dict]) -> Iterator[dict]:
    """Every system runs twice at each of its settings, there and back; it is then measured at its best."""
    known = [run for run in known if run["system"] == system.name]
    if not known:
        settings = system.settings if len(system.settings) > 1 else []
        for setting in [*settings, *reversed(settings)]:
            known.append(once(found, system, setting, max(system.n // 2, 100)))
            yield known[-1]
    shown = lambda setting: {key: value for key, value in setting.items() if key != "command"}
    rate = lambda setting: sum(run["rate"] for run in known if run["setting"] == setting)
    best = max((run["setting"] for run in known), key=rate) if known else shown(system.settings[0])
    system.best = next(s for s in system.settings if shown(s) == best)


def compare(found: Services, results: dict) -> None:
    everyone = [s for s in systems() if not ARGS.only or s.name.split(" ")[0] in ARGS.only]
    for system in everyone:
        results["tuning"].extend(tuned(found, system, results["tuning"]))
        save(results)
    for repetition in following(results["runs"]):
        # There and back: whoever ran first runs last next.
        for system in everyone if repetition % 2 == 0 else reversed(everyone):
            results["runs"].append(once(found, system, system.best) | {"repetition": repetition})
            save(results)


def following(runs: list[dict]) -> range:
    """The repetitions to come, after those of before."""
    done = 1 + max((run["repetition"] for run in runs), default=-1)
    return range(done, done + ARGS.repetitions)


def scaling(found: Services, results: dict) -> None:
    """1, 2, 4 and 8 workers on real HTTP calls."""
    own = str(ARGS.programs / "bench-queue")
    mock = subprocess.Popen([own, "mock", str(DELAY_MS)], stdout=subprocess.PIPE, text=True)
    try:
        url = f"http://127.0.0.1:{int(line(mock))}/v1"
        ours = Ours("workers", 0, [], program=own, url=url)
        each = EACH // 4 if ARGS.quick else EACH
        counts = [1, 2, 4, 8]
        for repetition in following(results["scaling"]):
            for workers in counts if repetition % 2 == 0 else reversed(counts):
                setting = {"block": 1, "window": 512, "concurrency": HANDS, "workers": workers}
                run = once(found, ours, setting, each * workers)
                results["scaling"].append(run | {"workers": workers, "repetition": repetition})
                save(results)
    finally:
        mock.kill()
        mock.wait()


def million(found: Services, results: dict) -> None:
    """As many tasks as a large run has."""
    own = str(ARGS.programs / "bench-queue")
    ours = Ours("promptimal", 0, [], program=own)
    setting = {"block": 1, "window": 2_048, "concurrency": 512}
    results["million"] = [once(found, ours, setting, 20_000 if ARGS.quick else 1_000_000)]
    save(results)


def save(results: dict) -> None:
    ARGS.out.parent.mkdir(parents=True, exist_ok=True)
    ARGS.out.write_text(json.dumps(results, indent=1))


def main() -> None:
    results = {part: [] for part in ("tuning", "runs", "scaling", "million")}
    if ARGS.go_on and ARGS.out.exists():
        results |= json.loads(ARGS.out.read_text())
    if ARGS.tables:
        return finish(results)
    parts = {"compare": compare, "scaling": scaling, "million": million}
    with services() as found:
        results["machine"] = report.machine() | found.versions()
        for part in ARGS.part or PARTS:
            parts[part](found, results)
    finish(results)


def finish(results: dict) -> None:
    save(results)
    if ARGS.tables or not (ARGS.quick or ARGS.only or ARGS.part):
        report.write(results, HERE.parent.parent / "docs" / "benchmarks.md")
    print(report.tables(results))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=Path, required=True, help="where the built programs are")
    parser.add_argument("--awa", type=Path, default=Path("/none"), help="the built program of awa")
    parser.add_argument("--quick", action="store_true", help="one repetition of small runs, docs left alone")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part (may be repeated)")
    parser.add_argument("--only", action="append", help="only systems whose name begins with this word")
    parser.add_argument("--repetitions", type=int, help="3 unless told; 0 only tries settings")
    parser.add_argument("--go-on", action="store_true", help="add to the results of before instead of starting anew")
    parser.add_argument("--tables", action="store_true", help="measure nothing: write the tables of --out into the docs")
    parser.add_argument("--out", type=Path, default=HERE / "target" / "results.json", help="where raw results go")
    args = parser.parse_args()
    if args.repetitions is None:
        args.repetitions = 1 if args.quick else 3
    args.go_on = args.go_on or args.tables
    return args


if __name__ == "__main__":
    ARGS = parse()
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted: what was measured is in the raw results, the docs are left alone")
