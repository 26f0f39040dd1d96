"""Real services and real processes, which a scenario may hurt."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SERVICES = ROOT / "scripts" / "services"
READING = "its data are being read"
TOKEN = "a-token-of-the-fault-tests"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def settle(what: str, seconds: float, ready) -> float:
    """Waits until `ready()` is true; returns how long that took, or ends the scenario."""
    begun = time.monotonic()
    while True:
        if ready():
            return time.monotonic() - begun
        if time.monotonic() - begun > seconds:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.1)


class Services:
    """A PostgreSQL and a RabbitMQ of our own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="promptimal-faults.", dir="/tmp"))
        self.folder.chmod(0o755)
        self.database = self._start("postgres")["PROMPTIMAL_TEST_DATABASE_URL"]
        self.broker = self._start("rabbitmq")["PROMPTIMAL_TEST_AMQP_URL"]

    def _start(self, name: str) -> dict[str, str]:
        told = self.run(name, "start")
        return dict(line.split("=", 1) for line in told.splitlines() if "=" in line)

    def run(self, name: str, *words: str) -> str:
        command, *rest = words
        done = subprocess.run(
            [SERVICES / name, command, self.folder / name, *rest], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{name} {command}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def broker_port(self) -> int:
        return int(self.broker.rsplit(":", 1)[1].split("/")[0])

    def wipe_broker(self) -> None:
        """As if its disk had been replaced."""
        self.run("rabbitmq", "kill9")
        data = self.folder / "rabbitmq" / "data"
        owner = data.stat()
        shutil.rmtree(data)
        data.mkdir()
        os.chown(data, owner.st_uid, owner.st_gid)
        self.run("rabbitmq", "restart")

    def sql(self, statement: str, database: str = "postgres") -> list[list[str]]:
        url = self.database.rsplit("/", 1)[0] + "/" + database
        done = subprocess.run(
            ["psql", "-X", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-c", statement, url],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{statement}: {done.stderr.strip()}")
        return [line.split("\t") for line in done.stdout.splitlines()]

    def stop(self) -> None:
        for name in ("rabbitmq", "postgres"):
            if (self.folder / name).exists():
                self.run(name, "stop")
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass
class Program:
    """A process of the cluster."""

    process: subprocess.Popen
    log: Path
    port: int = 0

    def kill9(self) -> None:
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def alive(self) -> bool:
        return self.process.poll() is None


@dataclass
class Cluster:
    """The processes of one scenario, on a database and a queue prefix of its own."""

    services: Services
    programs: Path
    models: str
    name: str
    folder: Path = field(init=False)
    running: list[Program] = field(default_factory=list)
    amqp: str = ""

    def __post_init__(self) -> None:
        self.folder = self.services.folder / self.name
        self.folder.mkdir()
        self.services.sql(f'CREATE DATABASE "{self.name}"')
        self.amqp = self.services.broker
        (self.folder / "models.toml").write_text(f"[models.target]\n{self.models}")

    def _start(self, program: str, args: list[str], sabotage: str, port: int) -> Program:
        log = self.folder / f"{program}-{len(self.running)}.log"
        env = os.environ | {"PROMPTIMAL_SABOTAGE": sabotage, "PROMPTIMAL_TOKEN": TOKEN}
        command = [str(self.programs / program), *args, "--queue-prefix", self.name]
        with log.open("w") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, env=env, cwd=self.folder)
        started = Program(process, log, port)
        self.running.append(started)
        return started

    def coordinator(self, sabotage: str = "", *more: str) -> Program:
        port = free_port()
        database = self.services.database.rsplit("/", 1)[0] + "/" + self.name
        clocks = ["--silent-seconds", "10", "--unstarted-seconds", "10", "--deadline-seconds", "60"]
        where = ["--database-url", database, "--amqp-url", self.services.broker, "--listen", f"127.0.0.1:{port}"]
        args = [*where, *clocks, "--data-root", str(self.folder), "--window", "128", *more]
        started = self._start("coordinator", args, sabotage, port)
        return started

    def worker(self, sabotage: str = "", concurrency: int = 8, amqp: str = "") -> Program:
        args = ["--amqp-url", amqp or self.amqp, "--models", "models.toml", "--concurrency", str(concurrency)]
        return self._start("worker-eval", args, sabotage, 0)

    def ready(self, program: Program) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{program.port}/readyz", timeout=5) as reply:
                return reply.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def submit(self, coordinator: Program, spec: str) -> str:
        settle("the coordinator", 30, lambda: self.ready(coordinator))
        request = urllib.request.Request(
            f"http://127.0.0.1:{coordinator.port}/v1/runs",
            json.dumps({"spec": spec, "kind": "evaluate"}).encode(),
            {"content-type": "application/json", "authorization": f"Bearer {TOKEN}"},
        )
        with urllib.request.urlopen(request, timeout=30) as reply:
            answer = json.load(reply)
        run = answer["run"]
        return run["id"] if isinstance(run, dict) else run

    def sql(self, statement: str) -> list[list[str]]:
        return self.services.sql(statement, self.name)

    def number(self, statement: str) -> int:
        return int(self.sql(statement)[0][0] or 0)

    def done(self) -> int:
        return self.number("SELECT count(*) FROM tasks WHERE state = 'done'")

    def status(self) -> str:
        """A run whose data are still being read counts as running: it will."""
        rows = self.sql("SELECT status, coalesce(reason, '') FROM runs")
        return "none" if not rows else "running" if rows[0] == ["paused", READING] else rows[0][0]

    def stop(self) -> None:
        for program in self.running:
            if program.alive():
                program.thaw()
                program.kill9()
