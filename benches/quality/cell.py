"""One method's run, as a process of its own: `python cell.py JOB.json`. The harness stops it when its calls are used up."""

import importlib
import json
import os
import pathlib
import random
import sys
import urllib.request

from labels import verdict
from tasks import Row

# Stands for the input in the messages of a prompt. No data set and no prompt has it.
INPUT = "⟦input⟧"


def turns(instruction, shots=(), text=INPUT):
    """The messages of a prompt, for methods without a layout of their own: the instruction is said once, before the first
    input, and demonstrations are earlier turns. This model follows no instruction that stands in the system's turn."""
    made = []
    for said, answer in [*shots, (text, None)]:
        made.append({"role": "user", "content": said if made else f"{instruction}\n\n{said}"})
        if answer is not None:
            made.append({"role": "assistant", "content": answer})
    return made


class Job:
    """What a method is given."""

    def __init__(self, told):
        self.task, self.method, self.seed, self.budget = (told[name] for name in ("task", "method", "seed", "budget"))
        self.labels, self.start, self.initial = told["labels"], told["start"], told["initial"]
        self.pool = [Row(text, label) for text, label in told["pool"]]
        self.url, self.folder, self.program = told["url"], told["folder"], told["program"]

    @property
    def base_url(self):
        return f"{self.url}/v1"

    def right(self, reply, label):
        return verdict(reply, self.labels) == label

    def incumbent(self, messages, validation=None, calls=None, note=None):
        """Says what would be the answer now: chat messages with INPUT for the input, and the method's own estimate."""
        told = {"messages": messages, "validation": validation, "calls": calls, "note": note}
        request = urllib.request.Request(f"{self.url}/incumbent", json.dumps(told).encode())
        with urllib.request.urlopen(request) as reply:
            return json.loads(reply.read())["taken"]


def run(job):
    random.seed(job.seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(job.seed)
    module = job.method.partition("+")[0].replace("-", "_")
    importlib.import_module(f"methods.{module}").run(job)


if __name__ == "__main__":
    os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "OPENAI_API_KEY": "none"}
    run(Job(json.loads(pathlib.Path(sys.argv[1]).read_text())))
