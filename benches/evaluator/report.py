"""Medians, ratios and the tables between the markers of docs/benchmarks.md."""

import datetime
import os
import platform
import subprocess
from collections import defaultdict
from pathlib import Path
from statistics import median

BEGIN, END = "<!-- evaluator: written by benches/evaluator/run -->", "<!-- evaluator: end -->"


def machine() -> dict:
    """What the figures were taken on."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True).stdout.split()
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": model,
        "memory_gib": round(memory),
        "kernel": platform.release().split("-")[0],
        "rustc": rustc[1] if len(rustc) > 1 else "unknown",
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
    }


def grouped(runs: list[dict], *keys: str) -> dict[tuple, list[dict]]:
    groups = defaultdict(list)
    for run in runs:
        groups[tuple(run[k] for k in keys)].append(run)
    return groups


def tables(results: dict) -> str:
    parts = [where(results), rates(results), thrown(results), ceiling(results), tuning(results), phases(results)]
    parts.append(scaling(results))
    return "\n\n".join(part for part in parts if part)


def where(results: dict) -> str:
    m = results["machine"]
    runs = results["runs"] + results["scaling"]
    loads = [run["load"] for run in runs]
    busy = (
        f" **The machine was busy with other work meanwhile (load average {min(loads):.1f} to {max(loads):.1f} on"
        f" {m['cores']} cores): ratios between clients of one repetition hold, absolute rates are too low.**"
        if loads and median(loads) > m["cores"] + 1
        else f" Load average {min(loads):.1f} to {max(loads):.1f}."
    )
    return (
        f"{m['date']}: {m['cores']} cores ({m['cpu']}), {m['memory_gib']} GiB, Linux {m['kernel']}, rustc {m['rustc']},"
        f" Python {m['python']}; reply delay {results['delay_ms']} ms; medians of"
        f" {1 + max((run['repetition'] for run in results['runs']), default=0)}.{busy}"
    )


def rates(results: dict) -> str:
    groups = grouped(results["runs"], "client")
    bare = {run["repetition"]: run["rate"] for run in groups.get(("bare reqwest",), [])}
    rows = [
        "| client | N | in flight allowed | reached | answers/s | of bare reqwest | answers/s, whole call"
        " | CPU µs/item | peak MiB | process s |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for (name,), runs in sorted(groups.items(), key=lambda g: -median(r["rate"] for r in g[1])):
        shares = [run["rate"] / bare[run["repetition"]] for run in runs if run["repetition"] in bare]
        share = f"{100 * median(shares):.1f}%" if shares else "–"
        rows.append(
            f"| {name} | {runs[0]['n']:,} | {runs[0]['c']} | {median(r['mock']['peak_in_flight'] for r in runs):.0f}"
            f" | {median(r['rate'] for r in runs):,.0f} | {share}"
            f" | {median(call_rate(r) for r in runs):,.0f}"
            f" | {median(1e6 * r['cpu_s'] / r['n'] for r in runs):,.0f}"
            f" | {median(peak(r) for r in runs) / 1024:.0f} | {median(r['wall_s'] for r in runs):.1f} |"
        )
    return "\n".join(rows)


def thrown(results: dict) -> str:
    """Runs that were taken again."""
    runs = results.get("thrown", [])
    told = ", ".join(f"{r['client']} ({r['requests']:,} requests for {r['n']:,} examples)" for r in runs)
    return f"Thrown out and taken again: {told}." if told else ""


def call_rate(run: dict) -> float:
    """Answers a second from the call of the tool to its result, where the tool's program tells it."""
    return run["n"] / run["own"].get("took", {}).get("wall_s", run["wall_s"])


def peak(run: dict) -> int:
    """KiB. Our own programs tell it themselves, to the page."""
    return run["own"].get("used", {}).get("peak_kib", run["peak_kib"])


def ceiling(results: dict) -> str:
    runs = results.get("ceiling", [])
    if not runs:
        return ""
    least = 256 * 1000 / max(results["delay_ms"], 1)
    return (
        f"The mock's own ceiling, without delay, asked by raw sockets on 256 connections:"
        f" **{median(r['rate'] for r in runs):,.0f} a second**. With its delay of {results['delay_ms']} ms, 256 in"
        f" flight cannot pass {least:,.0f} a second."
    )


def tuning(results: dict) -> str:
    groups = grouped(results["tuning"], "client")
    if not groups:
        return ""
    one = lambda runs: ", ".join(f"{r['rate']:,.0f} at {r['c']}" for r in runs)
    tried = "; ".join(f"{name}: {one(runs)}" for (name,), runs in groups.items())
    return f"Concurrencies tried once each, of which the best was measured (answers/s): {tried}."


def phases(results: dict) -> str:
    runs = [run for run in results["runs"] if run["client"] == "promptimal"]
    if not runs:
        return ""
    n = runs[0]["n"]
    took = lambda key: median(run["own"]["took"][key] for run in runs)
    return (
        f"Promptimal's {n:,} examples in phases: opening the store {took('start_s'):.2f} s, reading the examples into"
        f" it {took('ingest_s'):.2f} s, planning the tasks {took('plan_s'):.2f} s, asking, grading and storing"
        f" {took('answer_s'):.2f} s ({n / took('answer_s'):,.0f} a second, counted to the last stored grade)."
    )


def scaling(results: dict) -> str:
    groups = grouped(results["scaling"], "n")
    if not groups:
        return ""
    rows = [
        "| N | answers/s | CPU µs/item, whole process | CPU µs/item after start | answering only | peak MiB |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for (n,), runs in sorted(groups.items()):
        cpu = lambda key: median(1e6 * run["own"]["cpu"][key] / n for run in runs)
        # The inputs are made by the same process: what that takes is not the evaluation's.
        whole = median(1e6 * (run["cpu_s"] - run["own"]["cpu"]["inputs_s"]) / n for run in runs)
        rows.append(
            f"| {n:,} | {median(r['rate'] for r in runs):,.0f} | {whole:,.0f}"
            f" | {cpu('after_start_s'):,.0f} | {cpu('answer_s'):,.0f} | {median(peak(r) for r in runs) / 1024:.1f} |"
        )
    return "\n".join(rows)


def write(results: dict, path: Path) -> None:
    """Puts the tables between the markers; the words around them are people's."""
    text = path.read_text()
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    path.write_text(f"{before}{BEGIN}\n\n{tables(results)}\n\n{END}{after}")
