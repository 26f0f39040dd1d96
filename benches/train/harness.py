"""Trains the same adapter on the same batch with each engine in turn, several times, and rewrites the table of
docs/benchmarks.md.

Every round is a process of its own; the engines take turns, so that what else the machine does hits them alike. The
losses of all steps must agree, or nothing is written.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from tables import busy, processor, put

NAMES = {
    ("ours",): "promptimal",
    ("peer",): "PyTorch + PEFT",
    ("ours", "checkpointing"): "promptimal, checkpointing",
    ("peer", "checkpointing"): "PyTorch + PEFT, checkpointing",
}
PEER = ("peer",)
# How attention is computed, and whether threads that wait for each other spin: on a busy machine that costs them most.
SETTINGS = [(attention, wait) for attention in ("sdpa", "eager") for wait in ("active", "passive")]
# Of the losses of one step.
APART = 1e-3


def run(who, options, setting, steps):
    engine, *how = who
    attention, wait = setting
    environment = os.environ | {"RAYON_NUM_THREADS": "2", "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": wait}
    command = [str(options.program), "measure"]
    if engine == "peer":
        command = [sys.executable, "-W", "ignore", str(HERE / "peer.py"), "measure"]
        how.append(attention)
    command += [str(options.folder), str(steps + 1), *how]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    out = json.loads(done.stdout.splitlines()[-1])
    # The first step starts threads, touches pages and plans kernels.
    return out | {"seconds": out["seconds"][1:]}


def prepare(options):
    folder = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "model.safetensors").exists():
        subprocess.run([str(options.program), "unfold", str(folder)], check=True)
    if not (folder / "start" / "adapter_model.safetensors").exists():
        subprocess.run([sys.executable, str(HERE / "peer.py"), "make", str(folder)], check=True)


def best_setting(options):
    """The setting that the peer is quickest at, of two steps each."""
    tried = {setting: statistics.median(run(PEER, options, setting, 2)["seconds"]) for setting in SETTINGS}
    print("PyTorch, seconds a step:", tried, file=sys.stderr, flush=True)
    return min(tried, key=tried.get)


def agree(runs):
    """How far losses of one step are apart at most, in all rounds of all engines."""
    losses = [result["losses"] for results in runs.values() for result in results]
    assert len({len(sequence) for sequence in losses}) == 1
    worst = max(max(step) - min(step) for step in zip(*losses))
    assert worst < APART, f"the losses of a step are up to {worst} apart"
    assert losses[0][-1] < losses[0][0], f"nothing is learnt: {losses[0]}"
    return worst, losses[0]


def table(runs, options, setting):
    texts = json.loads((options.folder / "texts.json").read_text())
    tokens = sum(len(text["ids"]) for text in texts)
    worst, losses = agree(runs)
    load = [run["load"] for results in runs.values() for run in results]
    peak = {who: max(run["peak_mib"] for run in results) for who, results in runs.items()}
    rates = {who: [tokens / statistics.median(run["seconds"]) for run in results] for who, results in runs.items()}
    lines = [
        f"{datetime.date.today()}: {len(os.sched_getaffinity(0))} cores ({processor()}), Linux "
        f"{platform.release().split('-')[0]}, Python {platform.python_version()}, {versions()}; medians of {options.rounds} "
        f"rounds of {options.steps} steps, load average {min(load):.1f} to {max(load):.1f}. Losses went from {losses[0]:.4f} "
        f"to {losses[-1]:.4f} and were at most {worst:.0e} apart. PyTorch ran with its attention \"{setting[0]}\" and threads "
        f"that wait {setting[1]}ly, the quickest of four settings.{busy(load, 'engines')}",
        "",
        "| engine | tokens/s | lowest to highest | of PyTorch, round by round | peak MiB | of PyTorch |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for who in runs:
        ratio = statistics.median(ours / theirs for ours, theirs in zip(rates[who], rates[PEER]))
        lines.append(
            f"| {NAMES[who]} | {statistics.median(rates[who]):.0f} | {min(rates[who]):.0f} to {max(rates[who]):.0f} | "
            f"{ratio:.2f} | {peak[who]:,.0f} | {peak[who] / peak[PEER]:.2f} |"
        )
    return "\n".join(lines)


def versions():
    import peft
    import torch
    import transformers

    torch_version = torch.__version__.split("+")[0]
    return f"PyTorch {torch_version}, transformers {transformers.__version__}, PEFT {peft.__version__}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", type=pathlib.Path, required=True)
    parser.add_argument("--folder", type=pathlib.Path, default=HERE / ".model", help="0.6 GB for the weights in f32")
    parser.add_argument("--steps", type=int, default=6, help="of a round, after one that does not count")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one round of two steps; leaves the docs alone")
    parser.add_argument("--print", action="store_true", help="print the table and leave the docs alone")
    options = parser.parse_args()
    if options.quick:
        options.steps, options.rounds = 2, 1
    prepare(options)
    setting = SETTINGS[0] if options.quick else best_setting(options)
    runs = {who: [] for who in NAMES}
    for _ in range(options.rounds):
        for who, results in runs.items():
            load = os.getloadavg()[0]
            results.append(run(who, options, setting, options.steps) | {"load": load})
            seconds = [round(s, 2) for s in results[-1]["seconds"]]
            print(NAMES[who], seconds, round(results[-1]["peak_mib"]), "MiB", file=sys.stderr, flush=True)
    written = table(runs, options, setting)
    print(written)
    if not options.print and not options.quick:
        put("train", written)


if __name__ == "__main__":
    main()
