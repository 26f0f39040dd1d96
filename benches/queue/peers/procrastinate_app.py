"""The application of procrastinate: a module of its own, because its worker must find tasks where their names say."""

import procrastinate
from common import DATABASE, QUEUE

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=DATABASE))


@app.task(name="nothing", queue=QUEUE)
async def nothing(number: int) -> str:
    return "A"
