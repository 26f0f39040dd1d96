"""Hurts a cluster of real processes in twelve ways and checks that nothing is lost and nothing applied twice.

Every scenario has a database and a queue prefix of its own on a PostgreSQL and a RabbitMQ that this program starts,
and runs 1,000 tasks (an evaluation whose blocks hold one question) that call a chat server in this process. The result
is compared with that of one undisturbed process on SQLite. --mutations leaves out a guard and demands that a scenario
then fails.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import scenarios
from checks import ROWS, Outcome
from cluster import ROOT, Cluster, Services
from server import ModelServer


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
    services, server, truth = world
    cluster = Cluster(services, args.programs, model(server), name)
    questions(cluster.folder, args.tasks)
    server.forget()
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


def main() -> None:
    args = parse()
    chosen = [s for s in scenarios.SCENARIOS if not args.only or any(word in s.__name__ for word in args.only)]
    if args.list:
        for one in chosen:
            print(f"{one.__name__:45} {one.__doc__}")
        return
    server, services = ModelServer(), Services()
    bad = 0
    try:
        world = (services, server, oracle(args.programs, services, server, args.tasks))
        print(HEAD, flush=True)
        for turn in range(args.repeat):
            for number, one in enumerate(chosen):
                name = one.__name__.replace("_", " ") + (f" ({turn + 1})" if args.repeat > 1 else "")
                if f"| {name} |" in kept(args):
                    continue
                out = play(one, args, world, f"f{number}x{turn}")
                bad += bool(out.failures)
                tell(args, row(name, out))
        for number, (guard, one) in enumerate(scenarios.MUTATIONS if args.mutations else []):
            out = play(one, args, world, f"m{number}", without=guard)
            bad += not out.failures
            verdict = f"fails as it must: {out.failures[0]}" if out.failures else "**does not notice**"
            print(f"without the guard `{guard}`, \"{one.__name__.replace('_', ' ')}\" {verdict}", flush=True)
    finally:
        services.stop()
    sys.exit(bad > 0)


def tell(args: argparse.Namespace, line: str) -> None:
    print(line, flush=True)
    if args.table:
        begun = kept(args) or HEAD + "\n"
        args.table.write_text(begun + line + "\n")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "faults"))
    main()
