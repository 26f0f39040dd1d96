"""Celery: publisher confirms, a quorum queue, late acknowledgement, results as rows in PostgreSQL.

The worker is Celery's own program: `celery -A peer_celery worker`.
"""

import os

from celery import Celery
from common import BROKER, CALLERS, DATABASE, QUEUE, fill

app = Celery("bench", broker=BROKER, backend="db+" + DATABASE.replace("postgres://", "postgresql+psycopg://"))
app.conf.update(
    broker_transport_options={"confirm_publish": True},
    broker_pool_limit=CALLERS,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_default_queue=QUEUE,
    task_default_queue_type="quorum",
    task_default_delivery_mode="persistent",
    worker_prefetch_multiplier=int(os.environ.get("BENCH_PREFETCH", "4")),
    worker_send_task_events=False,
    database_create_tables_at_setup=True,
)


@app.task(name="nothing")
def nothing(number: int) -> str:
    return "A"


def put(numbers: range) -> None:
    for number in numbers:
        nothing.delay(number)


if __name__ == "__main__":
    fill(put, CALLERS)
