"""The table, and whether both engines said the same."""

import datetime
import json
import os
import platform
import statistics
from importlib.metadata import version

NAMES = {"auto": "promptimal", "f32": "promptimal, weights in f32", "peer": "llama.cpp"}
PARTS = {"read": "prefill, tokens/s", "alone": "decode, tokens/s", "together": "16 together, tokens/s", "questions": "questions/s"}
# llama.cpp rounds what goes into a product to 8 bits; logits of this model reach 20.
LOGIT = 1.0


def agreement(runs):
    """How far each of ours says what llama.cpp says; fails where they could not be the same model."""
    peer, found = runs["peer"][0], {}
    for engine, results in runs.items():
        if engine == "peer":
            continue
        ours = results[0]
        worst = max(abs(a - b) for a, b in zip(ours["logits"], peer["logits"]))
        likeliest = sum(a == b for a, b in zip(ours["likeliest"], peer["likeliest"])) / len(peer["likeliest"])
        same = next((i for i, (a, b) in enumerate(zip(ours["short"], peer["short"])) if a != b), 16)
        choice = lambda scores: max(range(len(scores)), key=scores.__getitem__)
        picked = [choice(a) == choice(b) for a, b in zip(ours["scores"], peer["scores"])]
        apart = statistics.median(abs(a - b) for x, y in zip(ours["scores"], peer["scores"]) for a, b in zip(x, y))
        found[engine] = {"logit": worst, "tokens": same, "likeliest": likeliest, "picked": sum(picked), "of": len(picked), "nats": apart}
        assert len(ours["logits"]) == len(peer["logits"]) and worst < LOGIT, f"{engine}: logits differ by {worst}"
        assert sum(picked) >= 0.9 * len(picked), f"{engine}: the same choice in {sum(picked)} of {len(picked)}"
        assert likeliest >= 0.85, f"{engine}: the same token is the likeliest in {likeliest:.0%} of places"
    return found


def rates(results, part):
    return [statistics.median(result[part]) for result in results]


def row(engine, results, peer):
    cells = []
    for part in PARTS:
        own = rates(results, part)
        cells.append(f"{statistics.median(own):,.1f} ({min(own):,.1f}–{max(own):,.1f})")
        if engine != "peer":
            cells[-1] += f" **{ratio(own, rates(peer, part)):.2f}**"
    peak = max(result["peak_mib"] for result in results)
    load = statistics.median(result["load_seconds"] for result in results)
    return f"| {NAMES[engine]} | {' | '.join(cells)} | {load:.2f} | {peak:,.0f} |"


def ratio(own, other):
    """The median of the ratios within a round."""
    return statistics.median(a / b for a, b in zip(own, other))


def report(runs, lengths, options, agreement, best, tried):
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "unknown")
    kept = runs["one"]["auto"][0]["precision"]
    size = options.model.stat().st_size / 2**20
    head = (
        f"{datetime.date.today()}: {len(os.sched_getaffinity(0))} cores ({cpu}), Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, llama-cpp-python {version('llama-cpp-python')}. The file has {size:,.0f} MiB; "
        f"{options.questions} questions of {min(lengths['prefixes'])} to {max(lengths['prefixes'])} tokens, choices of "
        f"{min(lengths['choices'])} to {max(lengths['choices'])}. Left to itself, promptimal keeps the weights in `{kept}`. "
        f"Medians, lowest and highest in brackets, in bold the median of the ratios to llama.cpp within a round."
    )
    parts = [head, part("Two threads, by the wall", runs["two"]), part("One thread, by the processor's time", runs["one"])]
    return "\n\n".join([*parts, said(agreement), settled(best, tried)])


def part(title, runs):
    results = [result for results in runs.values() for result in results]
    if not results:
        return f"{title}: **not measured, the machine was never quiet long enough.**"
    load, others = ([result[key] for result in results] for key in ("load", "others"))
    lines = [
        f"{title}; {len(runs['peer'])} rounds, load average before each run {min(load):.1f} to {max(load):.1f}, "
        f"{min(others):.0%} to {max(others):.0%} of the machine used by others meanwhile:",
        "",
        f"| engine | {' | '.join(PARTS.values())} | load, s | peak MiB |",
        f"| --- |{' ---: |' * (len(PARTS) + 2)}",
    ]
    return "\n".join(lines + [row(engine, results, runs["peer"]) for engine, results in runs.items()])


def said(agreement):
    told = [
        f"{NAMES[engine]} picks the choice that llama.cpp picks in {a['picked']} of {a['of']} questions (log-likelihoods "
        f"{a['nats']:.3f} nats apart in the median), finds the same token the likeliest at {a['likeliest']:.0%} "
        f"of the places of a short text, writes on with the same {a['tokens']} of 16 tokens, and its logits differ by at most {a['logit']:.2f}"
        for engine, a in agreement.items()
    ]
    return f"Do they say the same? {'; '.join(told)}."


def settled(best, tried):
    words = lambda setting: ", ".join(f"{key} {value}" for key, value in json.loads(setting).items())
    parts = []
    for part, rates in tried.items():
        each = "; ".join(f"{max(found):,.1f} at {words(setting)}" for setting, found in rates.items())
        parts.append(f"{PARTS[part]}: {each}")
    if not parts:
        return f"llama.cpp ran with {json.dumps(best)}."
    return f"Settings of llama.cpp tried, of which the best was measured. {'. '.join(parts)}."

