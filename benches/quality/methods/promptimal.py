"""Promptimal in `instruct` mode: the program itself, whose models are the gateway's. All of the pool is its train split, since
the bench has a test of its own; so that its last evaluation asks nothing, and its own estimate is what it chose by.

`promptimal+VARIANT` is the same with one thing changed, to see what that thing is worth ([`VARIANTS`])."""

import contextlib
import json
import pathlib
import shutil
import sqlite3
import subprocess

from cell import INPUT

SPEC = """\
[run]
name = "quality"
mode = "instruct"
seed = {seed}

[[datasets]]
name = "{task}"
format = "jsonl"
path = "pool.jsonl"
fields = {{ input = "input", reference = "reference" }}
grader = {{ kind = "label", labels = {labels} }}

[splits]
train = 1.0
validation = 0.0
test = 0.0

[models.target]
kind = "http"
base_url = "{url}"
model = "target"
sampling = {{ max_tokens = 16, temperature = 0.0 }}

[models.proposer]
kind = "http"
base_url = "{url}"
model = "proposer"

[instruct]
calls = {budget}
{variant}

[[instruct.start]]
instruction = {start}
"""

SHOWN = ["shots", "bootstrapped", "corrected", "crossover"]
WORDED = ["answer_form", "frame"]
WRITTEN = ["reflect", "trajectory", "ga", "first_order", "shorten"]
# What a variant says in `[instruct]`. A round has 50 calls where nothing is said.
VARIANTS = {
    "": "",
    "shown": f"operators = {json.dumps(SHOWN)}",
    "unwritten": f"operators = {json.dumps(SHOWN + WORDED)}",
    "written": f"operators = {json.dumps(WRITTEN)}",
    "even": f"weights = {json.dumps([name + '=1' for name in SHOWN + WORDED + WRITTEN])}",
    "alike": "block = 24\ncandidates = 2",
}


def messages(doc):
    """As a prompt document is put to a model (crates/domain/src/prompt.rs): the instruction is said once."""
    instruction, system, user = doc.get("instruction") or "", doc.get("system") or "", doc.get("user", "{input}")
    if instruction and not any("{instruction}" in text for text in (system, user)):
        user = "{instruction}\n\n" + user
    turns = [{"role": "system", "content": system.replace("{instruction}", instruction)}] if system else []
    for shot in [*doc.get("shots", []), {"input": INPUT}]:
        said = user.replace("{instruction}", instruction).replace("{input}", shot["input"])
        turns.append({"role": "user", "content": said if instruction else said.lstrip("\n")})
        instruction = ""
        if "output" in shot:
            turns.append({"role": "assistant", "content": shot["output"]})
    return turns


# The history that `promptimal` keeps has a view for it.
LINE = "SELECT DISTINCT operator FROM lineage WHERE candidate_id = ? AND arm = 'search' ORDER BY operator"


def line(data, candidate):
    """The operators by which a prompt came about: its own, its parents', theirs."""
    with contextlib.closing(sqlite3.connect(data / "promptimal.db")) as store:
        return [plain(operator) for (operator,) in store.execute(LINE, [candidate])]


def plain(operator):
    return operator.partition("@")[0]


def made(found):
    """What each operator made: prompts that were tried, prompts that were refused, and the share that is believed better than
    their parents, of those that could be compared."""
    return {
        of["operator"]: {"tried": of["accepted"], "refused": of["rejected"], "better": of["success"], "of": of["compared"]}
        for of in found["operators"]
    }


def run(job):
    folder = pathlib.Path(job.folder)
    rows = [json.dumps({"input": row.text, "reference": row.label}) for row in job.pool]
    (folder / "pool.jsonl").write_text("\n".join(rows) + "\n")
    told = {name: json.dumps(value) for name, value in {"labels": job.labels, "start": job.start}.items()}
    told["variant"] = VARIANTS[job.method.partition("+")[2]]
    spec = folder / "spec.toml"
    spec.write_text(SPEC.format(task=job.task, seed=job.seed, url=job.base_url, budget=job.budget, **told))
    job.incumbent(messages({"instruction": job.start}))
    # Its own store may have answers from a run that was stopped: all are asked anew, and counted.
    shutil.rmtree(folder / "data", ignore_errors=True)
    command = [job.program, "run", str(spec), "--json", "--quiet", "--data-dir", str(folder / "data")]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout)
    (folder / "found.json").write_text(done.stdout)
    for step in found["trajectory"]:
        told = {"round": step["round"], "shots": len(step["doc"].get("shots", []))}
        job.incumbent(messages(step["doc"]), step["estimate"], calls=step["calls"], note=told)
    chosen = found["chosen"]
    told = {
        "operator": chosen["operator"], "shots": len(chosen["doc"].get("shots", [])),
        "line": line(folder / "data", chosen["candidate"]), "operators": made(found),
    }  # fmt: skip
    job.incumbent(messages(chosen["doc"]), chosen["estimate"], note=told)
