"""Measures all engines in turn, several times, and rewrites the table of docs/benchmarks.md.

Every run is a process of its own; the engines take turns, so that what else the machine does hits them alike. Rewards
must agree, or nothing is written.
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

NAMES = {"ours": "promptimal", "torch": "PyTorch", "ort": "ONNX Runtime"}


def run(engine, options):
    command = [str(options.program)] if engine == "ours" else [sys.executable, str(HERE / "peer.py"), engine]
    command += [str(options.folder), str(options.folder / "batches.json"), "1"]
    environment = os.environ | {"RAYON_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def prepare(options):
    folder = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    peer = lambda *task: subprocess.run([sys.executable, str(HERE / "peer.py"), *map(str, task)], check=True)
    if not (folder / "model.safetensors").exists():
        peer("make", folder)
    if not (folder / "model.onnx").exists():
        peer("export", folder)
    peer("batches", folder / "batches.json", options.texts)


def table(runs, options):
    batches = json.loads((options.folder / "batches.json").read_text())
    texts = sum(map(len, batches))
    tokens = sum(len(text) for batch in batches for text in batch)
    size = (options.folder / "model.safetensors").stat().st_size / 2**20
    load = [run["load"] for results in runs.values() for run in results]
    rate = {engine: texts / statistics.median(r["seconds"][0] for r in results) for engine, results in runs.items()}
    spread = lambda results: f"{texts / max(r['seconds'][0] for r in results):.2f} to {texts / min(r['seconds'][0] for r in results):.2f}"
    lines = [
        f"{datetime.date.today()}: {len(os.sched_getaffinity(0))} cores ({processor()}), Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, {versions()}; {texts} texts of {tokens:,} tokens, medians of "
        f"{min(map(len, runs.values()))} runs, load average {min(load):.1f} to {max(load):.1f}. The file of weights has "
        f"{size:,.0f} MiB.{busy(load, 'engines')}",
        "",
        "| engine | sequences/s | lowest to highest | of ONNX Runtime | of PyTorch | load, s | peak MiB | of the file |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for engine, results in runs.items():
        peak = max(r["peak_mib"] for r in results)
        of = lambda other: f"{rate[engine] / rate[other]:.2f}" if other in rate else "–"
        seconds = statistics.median(r["load_seconds"] for r in results)
        lines.append(
            f"| {NAMES[engine]} | {rate[engine]:.2f} | {spread(results)} | {of('ort')} | {of('torch')} | {seconds:.1f} | {peak:,.0f} | {peak / size:.2f} |"
        )
    return "\n".join(lines)


def versions():
    import onnxruntime
    import torch
    import transformers

    return f"PyTorch {torch.__version__.split('+')[0]}, transformers {transformers.__version__}, ONNX Runtime {onnxruntime.__version__}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", type=pathlib.Path, required=True)
    parser.add_argument("--folder", type=pathlib.Path, default=HERE / ".model", help="2 GB for the model, as much for its ONNX file")
    parser.add_argument("--texts", type=int, default=24)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--prepare", action="store_true", help="make model and batches, and stop")
    parser.add_argument("--print", action="store_true", help="print the table and leave the docs alone")
    options = parser.parse_args()
    prepare(options)
    if options.prepare:
        return
    runs = {engine: [] for engine in NAMES}
    for _ in range(options.runs):
        for engine, results in runs.items():
            load = os.getloadavg()[0]
            results.append(run(engine, options) | {"load": load})
            print(engine, results[-1]["seconds"], round(results[-1]["peak_mib"]), "MiB", file=sys.stderr, flush=True)
    first = runs["ours"][0]["rewards"]
    for engine, results in runs.items():
        worst = max(abs(a - b) for a, b in zip(first, results[0]["rewards"]))
        assert len(first) == len(results[0]["rewards"]) and worst < 1e-4, f"{engine}: rewards differ by {worst}"
    written = table(runs, options)
    print(written)
    if not options.print:
        put("reward", written)


if __name__ == "__main__":
    main()
