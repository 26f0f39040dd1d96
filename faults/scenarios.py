"""The faults. Each hurts a cluster while a run is under way; what must hold afterwards is in `checks`."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from checks import Outcome, at_rest
from cluster import Cluster, Program, settle
from proxy import Proxy
from server import ModelServer


@dataclass
class Stage:
    """What a scenario works with."""

    cluster: Cluster
    server: ModelServer
    spec: str
    oracle: list[list[str]]
    rng: random.Random
    # 1 for the whole measure of faults; less where time is short.
    scale: float
    # Guards that are left out, to see the scenario fail.
    without: str = ""

    def times(self, n: int) -> int:
        return max(1, round(n * self.scale))

    def worker(self, sabotage: str = "", **more) -> Program:
        return self.cluster.worker(",".join(filter(None, [self.without, sabotage])), **more)

    def coordinator(self, sabotage: str = "", *more: str) -> Program:
        return self.cluster.coordinator(",".join(filter(None, [self.without, sabotage])), *more)

    def begin(self, coordinators: int = 1, workers: int = 2) -> tuple[list[Program], list[Program]]:
        cs = [self.coordinator() for _ in range(coordinators)]
        ws = [self.worker() for _ in range(workers)]
        self.cluster.submit(cs[0], self.spec)
        self.reach(0.05)
        return cs, ws

    def reach(self, share: float, seconds: float = 120) -> None:
        """Waits until that share of the tasks is done."""
        want = max(1, int(share * len(self.oracle)))
        settle(f"{want} tasks", seconds, lambda: self.cluster.done() >= want)

    def recovery(self, out: Outcome, seconds: float = 120) -> None:
        """Notes how long it takes until results are applied again."""
        before = self.cluster.done()
        if before < len(self.oracle):
            out.recovered.append(settle("a result after the fault", seconds, lambda: self.cluster.done() > before))

    def finish(self, out: Outcome, dead: int = 0, seconds: float = 300) -> Outcome:
        wanted = "paused" if dead else "finished"
        settle(f"a run that is {wanted}", seconds, lambda: self.cluster.status() == wanted)
        at_rest(self.cluster, out, self.oracle, dead)
        return out

    def rescued(self) -> int:
        """Tasks that a coordinator took for lost."""
        return sum(p.log.read_text().count("coordinator::rescue: lost") for p in self.cluster.running)

    def bought(self, out: Outcome, spare: int = 0) -> None:
        """Nothing that was stored was asked again."""
        again = sum(self.server.asked.values()) - len(self.oracle)
        out.expect(again <= spare, f"{again} calls were made again, {spare} could have been under way")
        if again:
            out.notes.append(f"{again} calls again")


def workers_die(s: Stage) -> Outcome:
    """kill -9 of a random worker, again and again."""
    out = Outcome()
    # So slow that the run outlasts the deaths.
    s.server.delay = 0.15 if s.scale < 1 else 2
    _, workers = s.begin(workers=3)
    deaths = 0
    while deaths < s.times(50) and s.cluster.status() == "running":
        deaths += 1
        at = s.rng.randrange(len(workers))
        workers[at].kill9()
        workers[at] = s.worker()
        time.sleep(0.3 if s.scale < 1 else 2)
    s.recovery(out)
    s.finish(out)
    # What is given back may be under way all the same.
    s.bought(out, spare=8 * deaths + out.given_back)
    out.notes.append(f"{deaths} deaths")
    return out


def worker_dies_before_acknowledging(s: Stage) -> Outcome:
    """A worker dies after its report is confirmed and before its task is acknowledged."""
    out = Outcome()
    point = "worker.acked" if "confirm" in s.without else "worker.reported"
    steady = [s.coordinator()]
    s.cluster.submit(steady[0], s.spec)
    deaths = 0
    worker = s.worker(f"{point}@{40}", concurrency=4)
    while s.cluster.status() == "running":
        if not worker.alive():
            deaths += 1
            last = deaths >= s.times(10)
            worker = s.worker("" if last else f"{point}@{40}", concurrency=4)
        time.sleep(0.1)
    s.finish(out)
    out.expect(deaths > 0, "no worker died")
    out.expect(out.duplicates > 0, "no report came twice")
    out.expect(out.given_back == 0, f"{out.given_back} tasks had to be rescued: they were acknowledged unreported")
    out.notes.append(f"{deaths} deaths")
    return out


def coordinator_dies_between_plan_and_dispatch(s: Stage) -> Outcome:
    """The coordinator dies after a plan is stored and before it is sent, and between confirm and mark."""
    out = Outcome()
    # It dies while it takes the run on: whoever submitted asks again.
    first = s.coordinator("coordinator.planned@1")
    s.worker()
    s.cluster.submit(first, s.spec)
    settle("the death after planning", 60, lambda: not first.alive())
    for _ in range(s.times(4)):
        dying = s.coordinator("coordinator.published@3")
        settle("the death after publishing", 90, lambda d=dying: not d.alive() or s.cluster.status() != "running")
    s.coordinator()
    s.recovery(out)
    return s.finish(out)


def coordinator_dies_before_acknowledging(s: Stage) -> Outcome:
    """The coordinator dies after reports are applied and before they are acknowledged."""
    out = Outcome()
    point = "coordinator.acked" if "commit" in s.without else "coordinator.applied"
    dying = s.coordinator(f"{point}@3")
    s.worker()
    s.cluster.submit(dying, s.spec)
    for _ in range(s.times(6)):
        settle("a death", 90, lambda d=dying: not d.alive() or s.cluster.status() != "running")
        dying = s.coordinator(f"{point}@3")
    settle("a death", 90, lambda d=dying: not d.alive() or s.cluster.status() != "running")
    s.coordinator()
    s.finish(out)
    # Others were given back because it died with them claimed and not marked as sent.
    rescued = s.rescued()
    out.expect(rescued == 0, f"{rescued} tasks had to be rescued: their reports were gone")
    s.bought(out)
    return out


def broker_dies(s: Stage) -> Outcome:
    """SIGKILL of the broker in the middle of things, and a start on the same disk."""
    out = Outcome()
    s.server.delay = 0.25
    s.begin()
    # RabbitMQ 3.10.8 writes the name of a new quorum queue to disk some seconds late (decision 0006).
    time.sleep(6)
    for _ in range(s.times(5)):
        s.cluster.services.run("rabbitmq", "kill9")
        time.sleep(1)
        s.cluster.services.run("rabbitmq", "restart")
        s.recovery(out)
        time.sleep(1)
    return s.finish(out)


def broker_is_wiped(s: Stage) -> Outcome:
    """The broker comes back with an empty disk."""
    out = Outcome()
    s.server.delay = 0.1
    s.begin()
    s.reach(0.2)
    s.cluster.services.wipe_broker()
    s.recovery(out)
    return s.finish(out)


def database_goes_away(s: Stage) -> Outcome:
    """The database crashes and comes back; then every connection is ended."""
    out = Outcome()
    s.server.delay = 0.1
    s.begin()
    for _ in range(s.times(3)):
        s.cluster.services.run("postgres", "restart")
        s.recovery(out)
        s.cluster.services.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        s.recovery(out)
    s.finish(out)
    s.bought(out)
    return out


# How many second attempts are under way, once all are.
AGAIN = (
    "SELECT CASE WHEN bool_or(o.sent_at IS NULL) THEN 0 ELSE count(*) END"
    " FROM tasks t JOIN outbox o ON o.task_seq = t.seq WHERE t.epoch > 1"
)
LATE = "SELECT count(*) FROM ledger l JOIN tasks t ON t.seq = l.task_seq WHERE l.kind = 'settle' AND l.epoch < t.epoch"
ALIVE = (
    "SELECT count(*) FROM tasks t JOIN outbox o ON o.task_seq = t.seq"
    " WHERE o.sent_at IS NOT NULL AND t.beat_epoch = t.epoch"
)


def zombie(s: Stage) -> Outcome:
    """A worker is frozen past its time, others finish its tasks under a new epoch, and it wakes up."""
    out = Outcome()
    s.server.delay = 0.2
    s.cluster.submit(s.coordinator(), s.spec)
    frozen = s.worker()
    s.reach(0.05)
    # It must have said that it works on something: what nobody began only waits its turn.
    s.server.delay = 12
    settle("a sign of life", 60, lambda: s.cluster.number(ALIVE) > 0)
    frozen.freeze()
    settle("the rescue", 60, lambda: s.cluster.number("SELECT count(*) FROM tasks WHERE epoch > 1") > 0)
    s.server.delay = 0.5
    other = s.worker(concurrency=32)
    settle("the second attempts", 60, lambda: s.cluster.number(AGAIN) > 0)
    # So slow that the second attempt is still under way when the first wakes up.
    s.server.delay = 20
    frozen.thaw()
    settle("the late reports", 90, lambda: s.cluster.number(LATE) > 0)
    s.server.delay = 0.02
    s.recovery(out)
    s.finish(out)
    out.expect(out.given_back > 0, "nothing was rescued")
    out.expect(other.alive() and frozen.alive(), "a worker ended")
    return out


def network_is_cut(s: Stage) -> Outcome:
    """The way between a worker and the broker goes dead both ways for longer than a heartbeat, then heals."""
    out = Outcome()
    s.server.delay = 0.1
    port = s.cluster.services.broker_port()
    proxy = Proxy("127.0.0.1", port)
    far = s.cluster.services.broker.replace(f":{port}/", f":{proxy.port}/")
    s.cluster.submit(s.coordinator(), s.spec)
    cut = s.worker(amqp=far)
    s.reach(0.1)
    proxy.cut()
    time.sleep(25 if s.scale < 1 else 40)
    proxy.heal()
    s.recovery(out)
    s.worker()
    s.finish(out)
    out.expect(cut.alive(), "the worker that was cut off ended")
    return out


def messages_are_replayed(s: Stage) -> Outcome:
    """Every task and every report is published three times, in any order."""
    out = Outcome()
    s.without = ",".join(filter(None, [s.without, "once"]))
    s.begin()
    s.finish(out)
    out.expect(out.duplicates > 0, "no report came twice")
    return out


def poison(s: Stage) -> Outcome:
    """A task that ends every process that takes it, among healthy ones."""
    out = Outcome()
    s.server.delay = 0.05
    s.without = ",".join(filter(None, [s.without, "poison"]))
    s.cluster.submit(s.coordinator(), s.spec)
    workers = [s.worker(concurrency=32) for _ in range(2)]
    deaths = 0
    begun = time.monotonic()
    while s.cluster.status() == "running":
        for at, worker in enumerate(workers):
            if not worker.alive():
                deaths += 1
                workers[at] = s.worker(concurrency=32)
        if time.monotonic() - begun > 240:
            raise TimeoutError(f"the poison is not found out after {deaths} deaths")
        time.sleep(0.1)
    s.finish(out, dead=1)
    out.notes.append(f"{deaths} workers died of it")
    return out


def alarm_and_two_leaders(s: Stage) -> Outcome:
    """The broker blocks publishers for a while; then the leader of two coordinators is frozen and wakes up."""
    out = Outcome()
    # Slow enough that it is not over before the broker says so.
    s.server.delay = 0.5
    coordinators, _ = s.begin(coordinators=2)
    s.cluster.services.run("rabbitmq", "ctl", "set_vm_memory_high_watermark", "0")
    time.sleep(10 if s.scale < 1 else 60)
    # Also those with nothing to send.
    told = sum(not s.cluster.ready(c) for c in coordinators)
    out.expect(told == len(coordinators), f"{told} of {len(coordinators)} coordinators knew that they were blocked")
    s.cluster.services.run("rabbitmq", "ctl", "set_vm_memory_high_watermark", "0.4")
    settle("ready again", 60, lambda: all(map(s.cluster.ready, coordinators)))
    s.recovery(out)
    holder = s.cluster.sql("SELECT holder FROM leases WHERE name = 'leader'")[0][0]
    leader = next((c for c in coordinators if holder in c.log.read_text()), coordinators[0])
    leader.freeze()
    settle("another leader", 40, lambda: s.cluster.sql("SELECT holder FROM leases WHERE name = 'leader'")[0][0] != holder)
    leader.thaw()
    s.recovery(out)
    s.finish(out)
    rounds = s.cluster.number("SELECT count(*) - count(DISTINCT (run_id, round, step)) FROM rounds")
    out.expect(rounds == 0, f"{rounds} rounds were planned twice")
    return out


def queues_are_full(s: Stage) -> Outcome:
    """The queues take so few messages that the broker refuses tasks and reports again and again."""
    out = Outcome()
    # Slow enough that it is not over before the broker is told.
    s.server.delay = 1
    s.begin()
    broker, name = s.cluster.services, s.cluster.name
    few = ["set_policy", name, rf"^{name}\.(eval|results)$", '{"max-length": 20}', "--apply-to", "queues"]
    broker.run("rabbitmq", "ctl", *few)
    refused = lambda: any("its queue is full" in program.log.read_text() for program in s.cluster.running)
    settle("a refusal", 60, refused)
    s.recovery(out)
    return s.finish(out)


def both_lead(s: Stage) -> Outcome:
    """Two coordinators take themselves for the leader and plan the same step at the same time."""
    out = Outcome()
    if "unique" in s.without:
        nothing_is_unique(s)
    coordinators = [s.coordinator("lease,haste") for _ in range(2)]
    for one in coordinators:
        settle("a coordinator", 60, lambda c=one: s.cluster.ready(c))
    s.worker()
    s.cluster.submit(coordinators[0], s.spec)
    s.finish(out)
    rounds = s.cluster.number("SELECT count(*) FROM rounds")
    out.expect(rounds == 1, f"the step was planned {rounds} times")
    return out


def nothing_is_unique(s: Stage) -> None:
    """Takes away what keeps a step from being planned twice: the unique round, and the ids that are made from it."""
    first = s.coordinator()
    settle("the tables", 60, lambda: s.cluster.ready(first))
    first.kill9()
    s.cluster.sql("ALTER TABLE rounds DROP CONSTRAINT rounds_run_id_round_step_key")
    s.cluster.sql(
        "CREATE FUNCTION fresh() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN NEW.id = gen_random_uuid(); RETURN NEW; END';"
        "CREATE TRIGGER fresh BEFORE INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION fresh();"
        "CREATE FUNCTION known() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN IF EXISTS (SELECT 1 FROM candidates WHERE id = NEW.id) THEN RETURN NULL; END IF; RETURN NEW; END';"
        "CREATE TRIGGER known BEFORE INSERT ON candidates FOR EACH ROW EXECUTE FUNCTION known()"
    )


Scenario = Callable[[Stage], Outcome]

SCENARIOS: list[Scenario] = [
    workers_die,
    worker_dies_before_acknowledging,
    coordinator_dies_between_plan_and_dispatch,
    coordinator_dies_before_acknowledging,
    broker_dies,
    broker_is_wiped,
    database_goes_away,
    zombie,
    network_is_cut,
    messages_are_replayed,
    poison,
    alarm_and_two_leaders,
    queues_are_full,
    both_lead,
]

# These hurt what all others need: they are played alone.
HURT_SERVICES = [broker_dies, broker_is_wiped, database_goes_away, alarm_and_two_leaders]

# A guard, and the scenario that must fail without it.
MUTATIONS: list[tuple[str, Scenario]] = [
    ("confirm", worker_dies_before_acknowledging),
    ("commit", coordinator_dies_before_acknowledging),
    ("fence", zombie),
    ("unique", both_lead),
]
