"""dramatiq: publisher confirms, durable queues, and one INSERT in the actor, which is its applied row.

It acknowledges after the actor has returned. The worker is dramatiq's own program: `dramatiq peer_dramatiq`.
"""

import threading

import dramatiq
import psycopg
from common import BROKER, CALLERS, DATABASE, QUEUE, fill
from dramatiq.brokers.rabbitmq import RabbitmqBroker

dramatiq.set_broker(RabbitmqBroker(url=BROKER, confirm_delivery=True))
HERE = threading.local()


def connection() -> psycopg.Connection:
    """One for each thread."""
    if not hasattr(HERE, "connection"):
        HERE.connection = psycopg.connect(DATABASE, autocommit=True)
    return HERE.connection


@dramatiq.actor(queue_name=QUEUE)
def nothing(number: int) -> None:
    connection().execute("INSERT INTO results (number, result) VALUES (%s, 'A')", (number,))


def put(numbers: range) -> None:
    for number in numbers:
        nothing.send(number)


if __name__ == "__main__":
    fill(put, CALLERS)
