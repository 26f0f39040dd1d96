"""Runs every client against the mock, interleaved, and writes medians into docs/benchmarks.md.

A repetition runs all clients one after the other, so that a change of the machine meets all of them; ratios are taken
within a repetition. Every run is checked: as many requests at the mock as there are examples, not one more.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import report

HERE = Path(__file__).resolve().parent
PYTHON = sys.executable


@dataclass
class Client:
    """A program that asks N questions."""

    name: str
    command: list[str]
    n: int
    tried: list[int]
    text: str = "plain"
    best: int = 0


class Mock:
    """The server, on a core of its own where there are two and `taskset` exists."""

    def __init__(self, programs: Path, delay: int) -> None:
        cores = sorted(os.sched_getaffinity(0))
        pin = ["taskset", "-c", str(cores[-1])] if len(cores) > 1 and shutil.which("taskset") else []
        command = [*pin, str(programs / "evaluator"), "mock", "0", str(delay)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.address = f"http://127.0.0.1:{int(self.process.stdout.readline())}"
        self.delay = delay

    def get(self, path: str) -> dict:
        with urllib.request.urlopen(self.address + path) as reply:
            return json.load(reply)

    def cpu(self) -> float:
        """Processor seconds of the server so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def clients(programs: Path, quick: bool) -> list[Client]:
    """Whom to run. The slow ones get fewer questions: their rates fall with N, so that favours them."""
    many, some, few = (2_000, 1_000, 200) if quick else (20_000, 5_000, 1_000)
    own, peers = str(programs / "evaluator"), HERE / "peers"
    found = [
        Client("raw sockets", [own, "ceiling"], many, [256]),
        Client("bare reqwest", [own, "bare"], many, [256]),
        Client("promptimal", [own, "ours"], many, [256]),
    ]
    if binary := os.environ.get("PROMPTIMAL_BIN"):
        found.append(Client("promptimal eval", [binary], many, [256]))
    if (programs / "peer-dspy-rs").exists():
        found.append(Client("dspy-rs 0.7.3", [str(programs / "peer-dspy-rs")], some, [64, 256], "dspy"))
    for name, file, text in [
        ("dspy 3.4.1", "peer_dspy.py", "dspy"),
        ("gepa 0.1.4", "peer_gepa.py", "plain"),
        ("promptolution 2.3.0", "peer_promptolution.py", "plain"),
    ]:
        found.append(Client(name, [PYTHON, str(peers / file)], few, [8, 64, 256], text))
    for client in found:
        client.best = client.tried[-1]
    return found


# Runs that cannot be compared, which the docs tell of.
THROWN: list[dict] = []
# How often such a run is taken again.
AGAIN = 3


def measure(client: Client, mock: Mock, c: int, n: int | None = None) -> dict:
    """One run of one client. A client that asked more often than it had examples (its library tried a call again) did
    other work than the others: the run is thrown out, told of, and taken again."""
    n = n or client.n
    for _ in range(1 + AGAIN):
        run = once(client, mock, c, n)
        requests = run["mock"]["requests"]
        if requests == n:
            return run
        print(f"{client.name}: {requests} requests for {n} examples: thrown out", flush=True)
        THROWN.append({"client": client.name, "n": n, "requests": requests})
    sys.exit(f"{client.name}: not one run of {1 + AGAIN} asked each example once: nothing can be compared")


def once(client: Client, mock: Mock, c: int, n: int) -> dict:
    """A run: its own report, the mock's counters, and what the kernel says it used."""
    mock.get(f"/reset?text={client.text}&delay={mock.delay}")
    with tempfile.TemporaryDirectory() as folder:
        command = arguments(client, mock, n, c, folder)
        served, begun = mock.cpu(), time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder)
        out, err = process.stdout.read(), process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - begun
        # Its children are reaped: tell Popen, or it looks for the process again.
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{client.name}: exit code {process.returncode}\n{err.decode()[-2000:]}")
    seen = mock.get("/stats")
    if not seen["requests"]:
        sys.exit(f"{client.name}: no request came\n{err.decode()[-2000:]}")
    return {
        "client": client.name,
        "n": n,
        "c": c,
        "rate": n / seen["window_s"],
        "wall_s": wall,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_kib": used.ru_maxrss,
        "mock_cpu_s": mock.cpu() - served,
        "load": os.getloadavg()[0],
        "mock": seen,
        "own": own_report(out),
    }


def arguments(client: Client, mock: Mock, n: int, c: int, folder: str) -> list[str]:
    url = f"{mock.address}/v1"
    if client.name == "promptimal":
        return [*client.command, url, str(n), str(c), folder]
    if client.name == "promptimal eval":
        own = str(Path(ARGS.programs) / "evaluator")
        subprocess.run([own, "inputs", url, str(n), str(c), folder], check=True)
        return [*client.command, "eval", f"{folder}/bench.toml", "--data-dir", folder, "--quiet", "--json"]
    return [*client.command, url, str(n), str(c)]


def own_report(out: bytes) -> dict:
    lines = out.decode().strip().splitlines()
    try:
        return json.loads(lines[-1]) if lines else {}
    except json.JSONDecodeError:
        return {}


def tune(all_clients: list[Client], mock: Mock) -> list[dict]:
    """Every client that has a choice runs once at each concurrency; it is then measured at its best."""
    runs = []
    for client in all_clients:
        if len(client.tried) > 1:
            tried = [told(measure(client, mock, c)) for c in client.tried]
            client.best = max(tried, key=lambda run: run["rate"])["c"]
            runs += tried
    return runs


def told(run: dict) -> dict:
    cpu = 1e6 * run["cpu_s"] / run["n"]
    print(
        f"{run['client']:22} n {run['n']:7} c {run['c']:5}  {run['rate']:9.1f}/s  wall {run['wall_s']:7.2f} s"
        f"  cpu {cpu:7.0f} us/item  peak {run['peak_kib'] / 1024:6.1f} MiB  load {run['load']:.1f}",
        flush=True,
    )
    return run


def repeated(everyone: list[Client], mock: Mock) -> Iterator[dict]:
    """Every client at its best concurrency, again and again, there and back: whoever ran first runs last next."""
    for repetition in range(ARGS.repetitions):
        for client in everyone if repetition % 2 == 0 else reversed(everyone):
            yield told(measure(client, mock, client.best)) | {"repetition": repetition}


def scaled(everyone: list[Client], mock: Mock) -> Iterator[dict]:
    """Promptimal with few and with many examples."""
    for repetition in range(ARGS.scaling_repetitions):
        for client in everyone:
            for n in ARGS.scaling if client.name == "promptimal" else []:
                yield told(measure(client, mock, 256, n)) | {"repetition": repetition}


def without_delay(everyone: list[Client], mock: Mock) -> Iterator[dict]:
    """What the mock itself can do."""
    mock.delay = 0
    for client in everyone:
        for _ in range(ARGS.repetitions if client.name == "raw sockets" else 0):
            yield told(measure(client, mock, 256))


def main() -> None:
    mock = Mock(ARGS.programs, ARGS.delay)
    results = {"machine": report.machine(), "delay_ms": ARGS.delay}
    results |= {part: [] for part in ("tuning", "runs", "scaling", "ceiling")}
    try:
        everyone = [c for c in clients(ARGS.programs, ARGS.quick) if not ARGS.only or c.name in ARGS.only]
        results["ceiling"].extend(without_delay(everyone, mock))
        mock.delay = ARGS.delay
        results["tuning"].extend(tune(everyone, mock))
        for run in repeated(everyone, mock):
            results["runs"].append(run)
        for run in scaled(everyone, mock):
            results["scaling"].append(run)
    except KeyboardInterrupt:
        print("interrupted: what was measured is told, the docs are left alone", file=sys.stderr)
        ARGS.quick = True
    finally:
        mock.stop()
    results["thrown"] = THROWN
    ARGS.out.parent.mkdir(parents=True, exist_ok=True)
    ARGS.out.write_text(json.dumps(results, indent=1))
    if not ARGS.quick and not ARGS.only:
        report.write(results, HERE.parent.parent / "docs" / "benchmarks.md")
    print(report.tables(results))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=Path, required=True, help="where the built programs are")
    parser.add_argument("--quick", action="store_true", help="one repetition of small runs, docs left alone")
    parser.add_argument("--repetitions", type=int, help="5 unless told")
    parser.add_argument("--scaling-repetitions", type=int, help="as --repetitions unless told")
    parser.add_argument("--scaling", type=int, action="append", help="N of the scaling runs (may be repeated)")
    parser.add_argument("--delay", type=int, default=50, help="of the mock, milliseconds (50)")
    parser.add_argument("--only", action="append", help="only this client (may be repeated); docs left alone")
    parser.add_argument("--out", type=Path, default=HERE / "target" / "results.json", help="where raw results go")
    args = parser.parse_args()
    args.repetitions = args.repetitions or (1 if args.quick else 5)
    if args.scaling_repetitions is None:
        args.scaling_repetitions = args.repetitions
    args.scaling = args.scaling or ([1_000, 4_000] if args.quick else [1_000, 10_000, 100_000])
    return args


if __name__ == "__main__":
    ARGS = parse()
    main()
