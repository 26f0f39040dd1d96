"""procrastinate: jobs are rows; a finished job is a row that says so.

The worker is procrastinate's own program: `procrastinate --app peer_procrastinate.app worker`.
"""

import asyncio
import sys

import procrastinate
from common import DATABASE, QUEUE, fill

# Jobs in one statement.
CHUNK = 1_000

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=DATABASE))


@app.task(name="nothing", queue=QUEUE)
async def nothing(number: int) -> str:
    return "A"


async def defer(numbers: range) -> None:
    async with app.open_async():
        for first in range(0, len(numbers), CHUNK):
            jobs = [{"number": number} for number in numbers[first : first + CHUNK]]
            await nothing.batch_defer_async(*jobs)


async def prepare() -> None:
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


if __name__ == "__main__":
    # Not this module: procrastinate's tasks are those of a module that its worker can import.
    import peer_procrastinate as peer

    if sys.argv[1] == "prepare":
        asyncio.run(peer.prepare())
    else:
        fill(lambda numbers: asyncio.run(peer.defer(numbers)))
