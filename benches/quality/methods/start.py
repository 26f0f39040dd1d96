"""The start prompt, unchanged."""

from cell import turns


def run(job):
    job.incumbent(turns(job.start))
