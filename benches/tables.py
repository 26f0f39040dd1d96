"""What the harnesses beside this file share: where tables go, and what is said of the machine."""

import os
import pathlib
import statistics

DOCS = pathlib.Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"


def processor():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next((l.split(":")[1].strip() for l in lines if l.startswith("model name")), "unknown")


def busy(load, what):
    """What to say of load averages that leave no rate of `what` as it would be alone; nothing on a quiet machine."""
    if statistics.median(load) <= len(os.sched_getaffinity(0)) + 1:
        return ""
    return (
        f" **The machine was busy with other work meanwhile: ratios of {what} that took turns hold roughly, absolute"
        " rates are too low.**"
    )


def put(name, written):
    """Puts a table in the place of the older one of the bench of this name."""
    begin, end = f"<!-- {name}: written by benches/{name}/run -->", f"<!-- {name}: end -->"
    text = DOCS.read_text()
    before, rest = text.split(begin)
    DOCS.write_text(f"{before}{begin}\n\n{written}\n\n{end}{rest.split(end)[1]}")
