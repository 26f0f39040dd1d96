"""The systems side by side, and how each is started, filled and counted."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from services import Scene

PEERS = Path(__file__).resolve().parent / "peers"
PYTHON = sys.executable
# How often rows are counted, seconds.
LOOK = 0.05
# A run that takes longer is broken.
PATIENCE = 900


def line(process: subprocess.Popen) -> str:
    """The next line a program tells."""
    found = process.stdout.readline()
    if not found:
        sys.exit(f"{process.args[:2]} ended without a word (exit code {process.wait()})")
    return found.strip()


def ready(process: subprocess.Popen) -> subprocess.Popen:
    found = line(process)
    assert found == "ready", found
    return process


def go(process: subprocess.Popen) -> float:
    process.stdin.write("\n")
    process.stdin.flush()
    return time.monotonic()


def drained(process: subprocess.Popen) -> dict:
    """Ends a worker as an operator would, and reads what it used."""
    process.send_signal(signal.SIGTERM)
    return json.loads(line(process))


def cpu_seconds() -> tuple[float, float]:
    """Of the whole machine so far: busy, and all there was."""
    numbers = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = numbers[3] + numbers[4]
    return sum(numbers) - idle, sum(numbers)


# The servers, by the names of their programs.
SERVERS = {"postgres": "postgres", "beam.smp": "rabbitmq"}


def by_program() -> dict[int, tuple[str, float]]:
    """Processor seconds of every process: a server's, or one of ours."""
    found = {}
    tick = os.sysconf("SC_CLK_TCK")
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, rest = (folder / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
        except OSError:
            continue  # It ended meanwhile.
        fields = rest.split()
        found[int(folder.name)] = (SERVERS.get(name, name), (int(fields[11]) + int(fields[12])) / tick)
    return found


class Busy:
    """How full the machine was, and with what, from the making of this on."""

    def __init__(self) -> None:
        self.begun, self.programs = cpu_seconds(), by_program()

    def share(self) -> float:
        busy, all_there_was = (now - then for now, then in zip(cpu_seconds(), self.begun, strict=True))
        return busy / max(all_there_was, 1)

    def told(self) -> dict:
        """The share of the machine, and the servers' processor seconds."""
        used = dict.fromkeys(SERVERS.values(), 0.0)
        for process, (name, seconds) in by_program().items():
            if name in used:
                used[name] += seconds - self.programs.get(process, (name, 0.0))[1]
        return {"busy": self.share(), "servers": used}


@dataclass
class System:
    """Something that takes tasks to rows."""

    name: str
    n: int
    # Tried once each; the best is measured.
    settings: list[dict]
    what: str = ""
    best: dict = field(default_factory=dict)

    def run(self, scene: Scene, n: int, setting: dict) -> dict:
        raise NotImplementedError


def threads(setting: dict) -> dict:
    """As users limit the threads of our programs: one for each processor unless told."""
    return {"TOKIO_WORKER_THREADS": str(setting["threads"])} if "threads" in setting else {}


@dataclass
class Ours(System):
    """Coordinator and worker, a process each."""

    program: str = ""
    url: str | None = None

    def run(self, scene: Scene, n: int, setting: dict) -> dict:
        folder = Path(f"/tmp/{scene.name}")
        try:
            return self.within(scene, n, setting, folder)
        finally:
            subprocess.run(["rm", "-rf", str(folder)], check=True)

    def within(self, scene: Scene, n: int, setting: dict, folder: Path) -> dict:
        common = {"prefix": scene.name, "url": self.url}
        asked = common | {"n": n, "block": setting["block"], "window": setting["window"], "folder": str(folder)}
        work = common | {"concurrency": setting["concurrency"]}
        start = lambda name, given: scene.spawn([self.program, name, json.dumps(given)], env=threads(setting))
        workers = [start("work", work) for _ in range(setting.get("workers", 1))]
        coordinator = ready(start("coordinate", asked))
        for worker in workers:
            ready(worker)
        settle(scene)
        busy = Busy()
        go(coordinator)
        told = json.loads(line(coordinator))
        machine = busy.told()
        go(coordinator)
        used = [drained(worker) for worker in workers]
        # The clock is that of questions; a block is one message and one task.
        return {
            "fill_s": told["plan_s"],
            "drain_s": told["work_s"],
            "whole_s": told["plan_s"] + told["work_s"],
            **machine,
            "coordinator": told,
            "workers": used,
        }


@dataclass
class Bare(System):
    """The ceiling, with its worker in another process."""

    program: str = ""

    def run(self, scene: Scene, n: int, setting: dict) -> dict:
        given = {key: value for key, value in setting.items() if key != "threads"}
        asked = json.dumps({"n": n, "prefix": scene.name} | given)
        subprocess.run([self.program, "prepare", "{}"], check=True, env=scene.environment())
        echo = ready(scene.spawn([self.program, "echo", asked], env=threads(setting)))
        bare = ready(scene.spawn([self.program, "bare", asked], env=threads(setting)))
        settle(scene)
        busy = Busy()
        go(bare)
        told = json.loads(line(bare))
        machine = busy.told()
        go(bare)
        whole = told["plan_s"] + told["work_s"]
        used = {"coordinator": told, "workers": [json.loads(line(echo))]}
        return {"fill_s": told["plan_s"], "drain_s": told["work_s"], "whole_s": whole} | machine | used


def settle(scene: Scene) -> None:
    """Data of before are on disk, and nobody is in the middle of something."""
    with scene.connect() as db:
        db.execute("VACUUM ANALYZE")
        db.execute("CHECKPOINT")
    time.sleep(0.3)


@dataclass
class Peer(System):
    """A queue in Python: `fill` puts tasks in, its own program works, `counted` finds what is done."""

    file: str = ""
    counted: str = ""
    tables: str = ""

    def worker(self, scene: Scene, setting: dict) -> subprocess.Popen:
        command = [part.format(queue=scene.name, **setting) for part in setting["command"]]
        env = {"BENCH_PREFETCH": str(setting.get("prefetch", 4)), "PYTHONPATH": str(PEERS)}
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "cwd": PEERS}
        if not setting.get("loud"):
            quiet["stderr"] = subprocess.DEVNULL
        return scene.spawn([PYTHON, "-m", *command], env=env, **quiet)

    def filler(self, scene: Scene, n: int) -> subprocess.Popen:
        return ready(scene.spawn([PYTHON, str(PEERS / self.file), "fill", str(n)], cwd=PEERS))

    def prepare(self, scene: Scene) -> None:
        if self.tables:
            with scene.connect() as db:
                db.execute(self.tables)

    def run(self, scene: Scene, n: int, setting: dict) -> dict:
        """Twice: the worker is there while tasks are put in (`whole_s`), and it finds them there (`drain_s`)."""
        self.prepare(scene)
        worker = self.worker(scene, setting)
        # One first, by which we know that the worker is there.
        go(filler := self.filler(scene, 1))
        line(filler)
        with scene.connect() as db:
            self.wait(db, 1)
            filler = self.filler(scene, n)
            settle(scene)
            busy = Busy()
            begun = go(filler)
            whole = self.wait(db, n + 1)[-1][0] - begun
            machine = busy.told()
            line(filler)
            stop(worker)
            go(filler := self.filler(scene, n))
            filled = json.loads(line(filler))["fill_s"]
            settle(scene)
            worker = self.worker(scene, setting)
            seen = self.wait(db, 2 * n + 1, n + 1)
            stop(worker)
        return {"fill_s": filled, "drain_s": per(seen) * n, "whole_s": whole} | machine

    def wait(self, db, wanted: int, had: int = 0) -> list[tuple[float, int]]:
        """Until so many are done: when how many were, from the first on."""
        seen, begun = [], time.monotonic()
        while not seen or seen[-1][1] < wanted:
            done = db.execute(self.counted).fetchone()[0]
            now = time.monotonic()
            if done > had:
                seen.append((now, done))
            if now - begun > PATIENCE:
                sys.exit(f"{self.name}: {done} of {wanted} are done after {PATIENCE} s")
            time.sleep(LOOK)
        return seen


def per(seen: list[tuple[float, int]]) -> float:
    """Seconds for each task, from the first look that found one."""
    (begun, first), (ended, last) = seen[0], seen[-1]
    return (ended - begun) / max(last - first, 1)


def stop(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass
class Celery(Peer):
    """Its result backend makes its table with its first result."""

    def wait(self, db, wanted: int, had: int = 0) -> list[tuple[float, int]]:
        while db.execute("SELECT to_regclass('celery_taskmeta')").fetchone()[0] is None:
            time.sleep(LOOK)
        return super().wait(db, wanted, had)


@dataclass
class Procrastinate(Peer):
    def prepare(self, scene: Scene) -> None:
        prepare = [PYTHON, str(PEERS / self.file), "prepare"]
        subprocess.run(prepare, check=True, env=scene.environment(), cwd=PEERS)


@dataclass
class Awa(System):
    """A queue in Rust on PostgreSQL alone; its program counts by its own means."""

    program: str = ""

    def run(self, scene: Scene, n: int, setting: dict) -> dict:
        subprocess.run([self.program, "prepare"], check=True, env=scene.environment())
        work = [self.program, "work", str(n), json.dumps(setting)]
        worker = ready(scene.spawn(work))
        filler = ready(scene.spawn([self.program, "fill", str(n)]))
        settle(scene)
        busy, begun = Busy(), time.time()
        go(filler)
        fill = json.loads(line(filler))["fill_s"]
        told = json.loads(line(worker))
        whole, machine = told["last"] - begun, busy.told()
        stop(worker)
        # As the others: filled with nobody there, then drained.
        go(filler := ready(scene.spawn([self.program, "fill", str(n)])))
        fill = json.loads(line(filler))["fill_s"]
        settle(scene)
        # Its history holds those of before.
        worker = ready(scene.spawn([self.program, "work", str(n), json.dumps(setting | {"before": n})]))
        told = json.loads(line(worker))
        stop(worker)
        return {"fill_s": fill, "drain_s": told["last"] - told["first"], "whole_s": whole} | machine
