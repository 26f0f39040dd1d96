"""Promptimal in `instruct` mode: the program itself, whose models are the gateway's. It learns from the pool alone: its split
for the one last evaluation is as small as the spec allows, since the bench has a test of its own."""

import json
import pathlib
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

[[instruct.start]]
instruction = {start}
"""


def messages(doc):
    """As a prompt document is put to a model (crates/domain/src/prompt.rs)."""
    filled = lambda text: text.replace("{instruction}", doc.get("instruction", ""))
    user = doc.get("user", "{input}")
    named = any("{instruction}" in text for text in (doc.get("system") or "", user))
    turns = [{"role": "system", "content": filled(doc["system"])}] if doc.get("system") else []
    for i, (said, answer) in enumerate([*((s["input"], s["output"]) for s in doc.get("shots", [])), (INPUT, None)]):
        text = filled(user).replace("{input}", said)
        if i == 0 and not named and doc.get("instruction"):
            text = f"{doc['instruction']}\n\n{text}"
        turns.append({"role": "user", "content": text})
        if answer is not None:
            turns.append({"role": "assistant", "content": answer})
    return turns


def run(job):
    folder = pathlib.Path(job.folder)
    rows = [json.dumps({"input": row.text, "reference": row.label}) for row in job.pool]
    (folder / "pool.jsonl").write_text("\n".join(rows) + "\n")
    told = {name: json.dumps(value) for name, value in {"labels": job.labels, "start": job.start}.items()}
    spec = folder / "spec.toml"
    spec.write_text(SPEC.format(task=job.task, seed=job.seed, url=job.base_url, budget=job.budget, **told))
    job.incumbent(messages({"instruction": job.start}))
    command = [job.program, "run", str(spec), "--json", "--data-dir", str(folder / "data")]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout)["instruct"]
    for step in found["trajectory"]:
        job.incumbent(messages(step["doc"]), step.get("member", {}).get("score"), calls=step["calls"])
    job.incumbent(messages(found["chosen"]["doc"]), found["chosen"].get("score"), note={"chosen": True})
