"""Medians, ratios and the tables between the markers of docs/benchmarks.md."""

import datetime
import os
import platform
import subprocess
from collections import defaultdict
from pathlib import Path
from statistics import median

CEILINGS = ["ceiling", "ceiling, tuned"]
BEGIN, END = "<!-- queue: written by benches/queue/run -->", "<!-- queue: end -->"


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


def grouped(runs: list[dict], key: str) -> dict:
    groups = defaultdict(list)
    for run in runs:
        groups[run[key]].append(run)
    return groups


def tables(results: dict) -> str:
    parts = [where(results), rates(results), tuning(results), scaling(results), million(results)]
    return "\n\n".join(part for part in parts if part)


def where(results: dict) -> str:
    m = results["machine"]
    loads = [run["load"] for part in ("runs", "scaling", "million") for run in results[part]]
    busy = (
        f" **The machine was busy with other work meanwhile (load average before each run {min(loads):.1f} to"
        f" {max(loads):.1f} on {m['cores']} cores): ratios within a repetition hold, absolute rates are too low.**"
        if loads and median(loads) > m["cores"] + 1
        else f" Load average before each run {min(loads):.1f} to {max(loads):.1f}." if loads else ""
    )
    return (
        f"{m['date']}: {m['cores']} cores ({m['cpu']}), {m['memory_gib']} GiB, Linux {m['kernel']}, PostgreSQL"
        f" {m['postgres']}, RabbitMQ {m['rabbitmq']}, rustc {m['rustc']}, Python {m['python']}.{busy}"
    )


def rates(results: dict) -> str:
    groups = grouped(results["runs"], "system")
    if not groups:
        return ""
    ceilings = [{run["repetition"]: run["rate"] for run in groups.get(name, [])} for name in CEILINGS]
    repetitions = max(len(runs) for runs in groups.values())
    rows = [
        f"Medians of {repetitions}; ratios within a repetition; the range of the whole rate in brackets.",
        "",
        "| system | tasks | put in, /s | drained, /s | **whole, /s** | of the ceiling | of the tuned one | machine busy | settings |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for name, runs in sorted(groups.items(), key=lambda g: -median(r["rate"] for r in g[1])):
        shares = " | ".join(share(runs, ceiling) for ceiling in ceilings)
        of = lambda key: median(run["n"] / run[key] for run in runs)
        low, high = (edge(run["rate"] for run in runs) for edge in (min, max))
        rows.append(
            f"| {name} | {runs[0]['n']:,} | {of('fill_s'):,.0f} | {of('drain_s'):,.0f}"
            f" | **{of('whole_s'):,.0f}** ({low:,.0f}–{high:,.0f}) | {shares}"
            f" | {100 * median(run['busy'] for run in runs):.0f}% | {words(runs[0]['setting'])} |"
        )
    return "\n".join(rows)


def share(runs: list[dict], ceiling: dict) -> str:
    """Of the ceiling's rate in the same repetition."""
    shares = [run["rate"] / ceiling[run["repetition"]] for run in runs if run["repetition"] in ceiling]
    return f"{100 * median(shares):.0f}%" if shares else "–"


def words(setting: dict) -> str:
    return ", ".join(f"{key} {value}" for key, value in setting.items())


def tuning(results: dict) -> str:
    groups = grouped(results["tuning"], "system")
    if not groups:
        return ""
    shown = [run | {"shown": words(run["setting"])} for run in results["tuning"]]
    tries = lambda runs: " and ".join(f"{run['rate']:,.0f}" for run in runs)
    settings = lambda runs: ", ".join(f"{tries(of)} at {setting}" for setting, of in grouped(runs, "shown").items())
    tried = "; ".join(f"{name}: {settings(runs)}" for name, runs in grouped(shown, "system").items())
    return f"Settings tried on half as many tasks, of which the best was measured (whole, tasks/s): {tried}."


def scaling(results: dict) -> str:
    groups = grouped(results["scaling"], "workers")
    if not groups:
        return ""
    alone = {run["repetition"]: middle(run) for run in groups[1]}
    rows = [
        "| worker processes | in hand together | tasks | tasks/s | of linear | machine busy |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for workers, runs in sorted(groups.items()):
        linear = [middle(run) / (workers * alone[run["repetition"]]) for run in runs]
        rows.append(
            f"| {workers} | {workers * runs[0]['setting']['concurrency']} | {runs[0]['n']:,}"
            f" | {median(middle(run) for run in runs):,.0f} | {median(linear):.3f}"
            f" | {100 * median(run['busy'] for run in runs):.0f}% |"
        )
    return "\n".join(rows)


def middle(run: dict, begin: float = 0.1, end: float = 0.9) -> float:
    """Tasks a second between two shares of a run: neither its beginning nor its end, where workers run dry."""
    seen, n = run["coordinator"]["progress"], run["n"]
    first = next((t, done) for t, done in seen if done >= begin * n)
    last = next((t, done) for t, done in seen if done >= end * n)
    return (last[1] - first[1]) / (last[0] - first[0])


def million(results: dict) -> str:
    if not results["million"]:
        return ""
    run = results["million"][0]
    told = run["coordinator"]
    tenths = [middle(run, k / 10, (k + 1) / 10) for k in range(10)]
    return (
        f"**{run['n']:,} tasks** in one run: planned in {run['fill_s']:,.0f} s, then worked in {run['drain_s']:,.0f} s"
        f" ({run['n'] / run['drain_s']:,.0f} a second); by tenths of the run {', '.join(f'{r:,.0f}' for r in tenths)} a"
        f" second: the last is {100 * tenths[-1] / tenths[0]:.0f}% of the first and"
        f" {100 * tenths[-1] / tenths[1]:.0f}% of the second. The coordinator's resident set was at most"
        f" **{told['peak_kib'] / 1024:.0f} MiB**, reading the data file included (which took {told['ingest_s']:,.0f} s"
        f" and is not in the rates); it spent {1e6 * told['cpu_s'] / run['n']:,.0f} µs of processor time on a task, the"
        f" worker {1e6 * run['workers'][0]['cpu_s'] / run['n']:,.0f} µs. Machine {100 * run['busy']:.0f}% busy."
    )


def write(results: dict, path: Path) -> None:
    """Puts the tables between the markers; the words around them are people's."""
    text = path.read_text()
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    path.write_text(f"{before}{BEGIN}\n\n{tables(results)}\n\n{END}{after}")
