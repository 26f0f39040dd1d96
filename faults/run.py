"""Hurts a cluster of real processes in fourteen ways and checks that nothing is lost and nothing applied twice.

Every scenario has a database and a queue prefix of its own on a PostgreSQL and a RabbitMQ that this program starts,
and runs 1,000 tasks (an evaluation whose blocks hold one question) that call a chat server in this process. The result
is compared with that of one undisturbed process on SQLite. --mutations leaves out a guard and demands that a scenario
then fails.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import scenarios
from checks import ROWS, Outcome
from cluster import ROOT, Cluster, Services
from server import ModelServer


TELLING = threading.Lock()


def spec(name: str, server: ModelServer) -> str:
    return (
        f'[run]\nname = "{name}"\n\n[[datasets]]\nname = "questions"\nformat = "jsonl"\npath = "questions.jsonl"\n'
        'grader = { kind = "exact" }\nfields = { input = "input", reference = "reference" }\n\n'
        f"[models.target]\n{model(server)}\n[search]\nblock = 1\n"
    )


def model(server: ModelServer) -> str:
    return f'kind = "http"\nmodel = "mock"\nbase_url = "{server.address}"\nconcurrency = 64\n'


def questions(folder: Path, tasks: int) -> None:
    with (folder / "questions.jsonl").open("w") as out:
        for i in range(tasks):
            text = f"Question {i}: A or B?" if i != tasks // 2 else "POISON: A or B?"
            out.write(json.dumps({"input": text, "reference": "A"}) + "\n")


def oracle(programs: Path, services: Services, server: ModelServer, tasks: int) -> list[list[str]]:
    """The rows of one undisturbed process."""
    folder = services.folder / "oracle"
    folder.mkdir()
    questions(folder, tasks)
    (folder / "spec.toml").write_text(spec("oracle", server))
    program = [str(programs / "promptimal"), "--data-dir", str(folder / "data")]
    done = subprocess.run([*program, "eval", "spec.toml", "--quiet", "--json"], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the undisturbed run failed: {done.stderr}")
    rows = subprocess.run([*program, "sql", "--json", ROWS], cwd=folder, capture_output=True, text=True, check=True)
    plain = lambda value: f"{value:g}" if isinstance(value, float) else str(value)
    return sorted([plain(v) for v in row.values()] for row in json.loads(rows.stdout))


def play(one: scenarios.Scenario, args: argparse.Namespace, world: tuple, name: str, without: str = "") -> Outcome:
    services, truth = world
    server = ModelServer()
    cluster = Cluster(services, args.programs, model(server), name)
    questions(cluster.folder, args.tasks)
    server.delay = 0.02
    scale = 0.2 if args.bounded else 1.0
    stage = scenarios.Stage(cluster, server, spec(name, server), truth, random.Random(name), scale, without)
    begun = time.monotonic()
    try:
        out = one(stage)
    except (TimeoutError, RuntimeError, OSError) as error:
        out = Outcome(failures=[str(error)])
    finally:
        cluster.stop()
        server.stop()
    out.notes.append(f"{time.monotonic() - begun:.0f} s")
    if out.failures and not without:
        for program in cluster.running:
            print(f"--- {program.log.name}\n{program.log.read_text()[-1500:]}", file=sys.stderr)
    services.sql(f'DROP DATABASE "{name}" WITH (FORCE)')
    return out


def row(name: str, out: Outcome) -> str:
    recovered = " ".join(f"{s:.1f}" for s in out.recovered) or "–"
    verdict = "holds" if not out.failures else "**" + "; ".join(out.failures) + "**"
    return (
        f"| {name} | {out.tasks:,} | {out.duplicates:,} | {out.given_back:,} | {out.lost:,} | {out.twice:,}"
        f" | {recovered} | {verdict} | {', '.join(out.notes)} |"
    )


HEAD = (
    "| scenario | tasks | reports that came again | given back | lost | applied twice | seconds to recover | verdict | |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |"
)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=Path, required=True, help="where the built programs are")
    parser.add_argument("--bounded", action="store_true", help="smaller measures of faults: minutes, for every test run")
    parser.add_argument("--jobs", type=int, default=3, help="scenarios at once, where the services stay whole (3)")
    parser.add_argument("--repeat", type=int, default=1, help="how often each scenario is played (1)")
    parser.add_argument("--only", action="append", help="only scenarios whose name holds this (may be repeated)")
    parser.add_argument("--mutations", action="store_true", help="leave guards out: scenarios must then fail")
    parser.add_argument("--tasks", type=int, help="tasks of a scenario (1,000; 400 where bounded)")
    parser.add_argument("--table", type=Path, help="keep rows here, and leave out what it holds already")
    parser.add_argument("--list", action="store_true", help="say which scenarios there are")
    args = parser.parse_args()
    args.tasks = args.tasks or (400 if args.bounded else 1000)
    return args


def kept(args: argparse.Namespace) -> str:
    return args.table.read_text() if args.table and args.table.exists() else ""


@dataclass
class Turn:
    """One scenario, to be played once."""

    scenario: scenarios.Scenario
    title: str
    # Of its database and its queues.
    name: str
    without: str = ""


def turns(args: argparse.Namespace) -> list[Turn]:
    chosen = [s for s in scenarios.SCENARIOS if not args.only or any(word in s.__name__ for word in args.only)]
    plain = lambda scenario: scenario.__name__.replace("_", " ")
    out = []
    for repetition in range(args.repeat):
        for scenario in chosen:
            title = plain(scenario) + (f" ({repetition + 1})" if args.repeat > 1 else "")
            if f"| {title} |" not in kept(args):
                out.append(Turn(scenario, title, f"f{len(out)}"))
    for guard, scenario in scenarios.MUTATIONS if args.mutations else []:
        out.append(Turn(scenario, plain(scenario), f"m{len(out)}", without=guard))
    return out


def show(turn: Turn, args: argparse.Namespace, world: tuple) -> str:
    """Plays a scenario and tells what came of it; what is wrong with that, or nothing."""
    out = play(turn.scenario, args, world, turn.name, turn.without)
    if not turn.without:
        tell(args, row(turn.title, out))
        return f"{turn.title}: {'; '.join(out.failures)}" if out.failures else ""
    verdict = f"fails as it must: {out.failures[0]}" if out.failures else "**does not notice**"
    print(f'without the guard `{turn.without}`, "{turn.title}" {verdict}', flush=True)
    return "" if out.failures else f"nothing notices that the guard {turn.without} is missing"


def main() -> None:
    args = parse()
    if args.list:
        for one in scenarios.SCENARIOS:
            print(f"{one.__name__:45} {one.__doc__}")
        return
    todo = turns(args)
    # Whoever ends this program ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    server, services = ModelServer(), Services()
    try:
        world = (services, oracle(args.programs, services, server, args.tasks))
        print(HEAD, flush=True)
        whole = [turn for turn in todo if turn.scenario not in scenarios.HURT_SERVICES]
        with ThreadPoolExecutor(args.jobs) as pool:
            told = list(pool.map(lambda turn: show(turn, args, world), whole))
        told += [show(turn, args, world) for turn in todo if turn.scenario in scenarios.HURT_SERVICES]
    finally:
        services.stop()
    # Said last, too: a long log is read from its end.
    sys.exit("\n".join(f"FAILED: {line}" for line in told if line) or 0)


def tell(args: argparse.Namespace, line: str) -> None:
    with TELLING:
        print(line, flush=True)
        if args.table:
            begun = kept(args) or HEAD + "\n"
            args.table.write_text(begun + line + "\n")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "faults"))
    main()
