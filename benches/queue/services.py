"""A private PostgreSQL and RabbitMQ, and what a run needs of them: a fresh database, queues of its own."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pika
import psycopg

SCRIPTS = Path(__file__).resolve().parent.parent.parent / "scripts" / "services"
DATABASE, BROKER = "PROMPTIMAL_TEST_DATABASE_URL", "PROMPTIMAL_TEST_AMQP_URL"


def start(name: str, folder: str) -> dict:
    out = subprocess.run([SCRIPTS / name, "start", folder], check=True, stdout=subprocess.PIPE, text=True).stdout
    return dict(line.split("=", 1) for line in out.splitlines())


class Services:
    """Where database and broker are."""

    def __init__(self, database: str, broker: str) -> None:
        self.database, self.broker = database, broker
        self.runs = 0

    def admin(self) -> psycopg.Connection:
        return psycopg.connect(self.database, autocommit=True)

    def versions(self) -> dict:
        with self.admin() as db:
            postgres = db.execute("SHOW server_version").fetchone()[0].split()[0]
        connection = pika.BlockingConnection(pika.URLParameters(self.broker))
        rabbitmq = connection._impl.server_properties["version"]
        connection.close()
        return {"postgres": postgres, "rabbitmq": rabbitmq}

    @contextmanager
    def fresh(self) -> Iterator["Scene"]:
        """An empty database and a prefix for queues, which are gone afterwards."""
        self.runs += 1
        name = f"bench_{os.getpid()}_{self.runs}"
        with self.admin() as db:
            db.execute(f"CREATE DATABASE {name}")
        parts = urlsplit(self.database)
        scene = Scene(urlunsplit(parts._replace(path=f"/{name}")), self.broker, name)
        try:
            yield scene
        finally:
            scene.close()
            with self.admin() as db:
                db.execute(f"DROP DATABASE {name} WITH (FORCE)")
                # What the next run finds is the same for all.
                db.execute("CHECKPOINT")


class Scene:
    """What one run works on."""

    # Of all systems: those that are not there are not missed.
    QUEUES = [".eval", ".score", ".train", ".results", ".events", ".dead", ".bare-tasks", ".bare-reports"]
    QUEUES += ["", ".DQ", ".XQ"]

    def __init__(self, database: str, broker: str, name: str) -> None:
        self.database, self.broker, self.name = database, broker, name
        self.processes: list[subprocess.Popen] = []

    def environment(self) -> dict:
        own = {"BENCH_DATABASE_URL": self.database, "BENCH_AMQP_URL": self.broker, "BENCH_PREFIX": self.name}
        return os.environ | own

    def spawn(self, command: list[str], **options) -> subprocess.Popen:
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True} | options
        environment = self.environment() | options.pop("env", {})
        process = subprocess.Popen(command, env=environment, **options)
        self.processes.append(process)
        return process

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.database, autocommit=True)

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        connection = pika.BlockingConnection(pika.URLParameters(self.broker))
        channel = connection.channel()
        for queue in self.QUEUES:
            channel.queue_delete(self.name + queue)
        connection.close()


@contextmanager
def services() -> Iterator[Services]:
    if DATABASE in os.environ and BROKER in os.environ:
        yield Services(os.environ[DATABASE], os.environ[BROKER])
        return
    with tempfile.TemporaryDirectory(prefix="bq-") as folder:
        # Those who run the servers are not us.
        os.chmod(folder, 0o755)
        started = []
        try:
            found = {}
            for name in ["postgres", "rabbitmq"]:
                started.append(name)
                found |= start(name, f"{folder}/{name}")
            yield Services(found[DATABASE], found[BROKER])
        finally:
            for name in started:
                subprocess.run([SCRIPTS / name, "stop", f"{folder}/{name}"], check=False)
