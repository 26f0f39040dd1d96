"""The start prompt, unchanged, in the user's turn before the input."""

from cell import INPUT


def run(job):
    job.incumbent([{"role": "user", "content": f"{job.start}\n\n{INPUT}"}])
