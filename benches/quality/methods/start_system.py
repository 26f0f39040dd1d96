"""The start prompt, unchanged, as the system's turn: where GEPA puts it."""

from cell import INPUT


def run(job):
    job.incumbent([{"role": "system", "content": job.start}, {"role": "user", "content": INPUT}])
