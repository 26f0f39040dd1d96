"""What must hold once a run is at rest, whatever happened on the way."""

from dataclasses import dataclass, field

from cluster import Cluster, settle

ROWS = "SELECT input, reply_text, value FROM v_items ORDER BY input"


@dataclass
class Outcome:
    """What a scenario came to."""

    tasks: int = 0
    reports: int = 0
    duplicates: int = 0
    given_back: int = 0
    lost: int = 0
    twice: int = 0
    recovered: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.failures.append(otherwise)


def at_rest(cluster: Cluster, out: Outcome, oracle: list[list[str]], dead: int = 0) -> None:
    """Checks the invariants. `dead` tasks were meant to die."""
    n = cluster.number
    out.tasks = n("SELECT count(*) FROM tasks")
    out.reports = n("SELECT count(*) FROM ledger WHERE kind = 'settle'")
    out.duplicates = out.reports - n("SELECT count(DISTINCT task_seq) FROM ledger WHERE kind = 'settle'")
    out.given_back = n("SELECT coalesce(sum(epoch - 1), 0) FROM tasks")
    out.lost = len(oracle) - dead - n("SELECT count(*) FROM tasks WHERE state = 'done'")
    out.expect(out.tasks == len(oracle), f"{out.tasks} tasks instead of {len(oracle)}")
    out.expect(out.lost == 0, f"{out.lost} tasks are not done")
    out.expect(n("SELECT count(*) FROM tasks WHERE state = 'dead'") == dead, f"not {dead} dead tasks")
    out.expect(n("SELECT count(*) FROM tasks WHERE state = 'dead' AND reason IS NULL") == 0, "a dead task has no reason")
    counters(cluster, out)
    fenced(cluster, out)
    same(cluster, out, oracle, dead)
    empty(cluster, out)


def counters(cluster: Cluster, out: Outcome) -> None:
    """Derived numbers equal a recount: whatever was applied twice would show here."""
    n = cluster.number
    items = n(
        "SELECT sum(abs(r.items_done - (SELECT count(*) FROM items i WHERE i.round_id = r.id AND i.state = 'done')))"
        " FROM rounds r"
    )
    money = n(
        "SELECT sum(abs(s.calls - (SELECT coalesce(sum(l.calls), 0) FROM ledger l WHERE l.run_id = s.run_id)))"
        " FROM run_spend s"
    )
    answers = n("SELECT count(*) FROM answers") - n("SELECT count(DISTINCT key) FROM items WHERE state = 'done'")
    grades = n("SELECT count(*) FROM grades") - n("SELECT count(*) FROM items WHERE state = 'done'")
    out.twice = items + money + max(answers, 0) + max(grades, 0)
    out.expect(out.twice == 0, f"recounts differ: {items} items, {money} calls, {answers} answers, {grades} grades")


def fenced(cluster: Cluster, out: Outcome) -> None:
    """What closed a task was the report of the attempt that it stands for, not of one that was given up."""
    at_the_end = "SELECT 1 FROM ledger l WHERE l.task_seq = t.seq AND l.kind = 'settle' AND l.created_at = t.closed_at"
    strangers = cluster.number(
        f"SELECT count(*) FROM tasks t WHERE t.state = 'done' AND EXISTS ({at_the_end} AND l.epoch < t.epoch)"
        f" AND NOT EXISTS ({at_the_end} AND l.epoch = t.epoch)"
    )
    out.expect(strangers == 0, f"{strangers} tasks were closed by an attempt that had been given up")


def same(cluster: Cluster, out: Outcome, oracle: list[list[str]], dead: int) -> None:
    # Databases differ in how they order text.
    rows = sorted(row for row in cluster.sql(ROWS) if row[1])
    known = [row for row in oracle if row[0] in {r[0] for r in rows}]
    out.expect(len(rows) == len(oracle) - dead, f"{len(rows)} rows of the result instead of {len(oracle) - dead}")
    out.expect(rows == known, "the result differs from that of one undisturbed process")


def empty(cluster: Cluster, out: Outcome) -> None:
    out.expect(cluster.number("SELECT count(*) FROM outbox") == 0, "the outbox is not empty")
    try:
        settle("empty queues", 30, lambda: waiting(cluster) == 0)
    except TimeoutError:
        out.failures.append(f"{waiting(cluster)} messages are left in the queues")


def waiting(cluster: Cluster) -> int:
    told = cluster.services.run("rabbitmq", "ctl", "list_queues", "name", "messages", "--no-table-headers")
    rows = [line.split("\t") for line in told.splitlines() if line.startswith(cluster.name)]
    return sum(int(messages) for _, messages in rows)
