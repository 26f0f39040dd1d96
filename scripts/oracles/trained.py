"""Whether a model that `promptimal reward train` made says the same in transformers: rewards of a file of pairs.

    pip install torch transformers && python3 scripts/oracles/trained.py MODEL PAIRS.jsonl PROMPTIMAL [ROWS]

MODEL is the folder, PAIRS.jsonl has {"prompt", "chosen", "rejected"}, PROMPTIMAL is the program. Prints the largest
difference, and ends with an error when it is 1e-4 or more, or when the tokens differ.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer


def main(folder, pairs, program, rows="200"):
    answers = []
    for line in pathlib.Path(pairs).read_text().splitlines()[: int(rows)]:
        row = json.loads(line)
        answers += [{"prompt": row["prompt"], "answer": row[side]} for side in ("chosen", "rejected")]
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps(answer) + "\n" for answer in answers)
        file.flush()
        command = [program, "score", "--model", folder, "--input", file.name, "--json"]
        ours = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["rewards"]
    tokeniser = AutoTokenizer.from_pretrained(folder)
    net = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    worst, cut = 0.0, 0
    for start in range(0, len(answers), 16):
        batch = answers[start : start + 16]
        texts = [a["prompt"] for a in batch], [a["answer"] for a in batch]
        inputs = tokeniser(*texts, truncation=True, padding=True, return_tensors="pt")
        inputs.pop("token_type_ids", None)
        with torch.no_grad():
            logits = net(**inputs).logits[:, 0].tolist()
        for one, theirs in zip(ours[start:], logits):
            worst = max(worst, abs(one["reward"] - theirs))
            cut += one["cut"] > 0
    print(f"{len(answers)} texts, {cut} of them cut, vocabulary {len(tokeniser)}: largest difference {worst:.1e}")
    assert len(ours) == len(answers) and worst < 1e-4, worst


if __name__ == "__main__":
    main(*sys.argv[1:])
