"""procrastinate: jobs are rows; a finished job is a row that says so.

The worker is procrastinate's own program: `procrastinate --app procrastinate_app.app worker`.
"""

import asyncio
import sys

from common import fill
from procrastinate_app import app, nothing

# Jobs in one statement.
CHUNK = 1_000


async def defer(numbers: range) -> None:
    async with app.open_async():
        for first in range(0, len(numbers), CHUNK):
            jobs = [{"number": number} for number in numbers[first : first + CHUNK]]
            await nothing.batch_defer_async(*jobs)


async def prepare() -> None:
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        asyncio.run(prepare())
    else:
        fill(lambda numbers: asyncio.run(defer(numbers)))
