"""dspy-rs's GEPA: a program of its own in `dspy-rs/`, which says why that one, and what it was set to. It reports its
incumbents itself."""

import os
import pathlib
import subprocess

from cell import turns

BUILT = pathlib.Path(__file__).resolve().parents[1] / "dspy-rs" / "target" / "release" / "quality-dspy-rs"


def program():
    found = pathlib.Path(os.environ.get("QUALITY_DSPY_RS") or BUILT)
    if not found.is_file():
        raise FileNotFoundError(f"no program {found}: `benches/quality/run` builds it, QUALITY_DSPY_RS names another")
    return found


def run(job):
    job.incumbent(turns(job.start))
    subprocess.run([program(), pathlib.Path(job.folder) / "job.json"], check=True)
