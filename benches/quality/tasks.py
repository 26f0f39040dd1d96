"""The tasks: labels, start prompts, and how the rows of all files are split again.

The published splits of different seeds share rows, dev and test files too. So the unique rows of all files of a task are
pooled, and a hash of a row's text decides where it goes: 300 are the test, the same for all; of the others each seed draws
300 as its pool, which is all that a method sees.
"""

import dataclasses
import hashlib
import os
import pathlib

LABELS = {
    "sst2": ["negative", "positive"],
    "agnews": ["World", "Sports", "Business", "Tech"],
    "subj": ["subjective", "objective"],
}
# What everybody starts with, written for this bench as anybody would.
START = {
    "sst2": "Is the opinion in this sentence from a movie review positive or negative? Answer with one word.",
    "agnews": "What is the topic of this news article: World, Sports, Business or Tech? Answer with one word.",
    "subj": "Is this sentence subjective (an opinion) or objective (a fact)? Answer with one word.",
}
TEST, POOL = 300, 300


@dataclasses.dataclass(frozen=True)
class Row:
    text: str
    label: str

    @property
    def hash(self):
        return digest("row", self.text)[:16]


def digest(*parts):
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()


def data():
    named = os.environ.get("PROMPTIMAL_DATA")
    root = pathlib.Path(named) if named else pathlib.Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
    return root / "classification"


def rows(task, folder=None):
    """The unique rows of all files of a task. A text with two labels is left out: nobody could be right about it."""
    found = {}
    for file in sorted((folder or data()).glob(f"{task}/seed*/*.txt")):
        for line in file.read_text().splitlines():
            text, _, label = line.rpartition("\t")
            if text.strip():
                found.setdefault(text.strip(), set()).add(int(label))
    return [Row(text, LABELS[task][min(label)]) for text, label in sorted(found.items()) if len(label) == 1]


def split(found, task, seed, test=TEST, pool=POOL):
    """(pool, test): the test is the same for all seeds, the pool is drawn anew for each."""
    order = sorted(found, key=lambda row: digest("quality/1", task, row.text))
    rest = sorted(order[test:], key=lambda row: digest("quality/1", task, seed, row.text))
    return rest[:pool], order[:test]


def tuned(found, task, seed, test=TEST, pool=POOL):
    """(pool, rows to look at while a search is being changed): of those of the test there is none, and the pool is another
    than that of any cell of the table."""
    hidden = set(split(found, task, seed, test, pool)[1])
    place = lambda row: digest("quality/1", task, "tuning", seed, row.text)
    order = sorted((row for row in found if row not in hidden), key=place)
    return order[:pool], order[pool : pool + test]


def initial(task, folder=None):
    """EvoPrompt's hand-written prompts of a task, in its order: what searches that need a population start with, after
    the start prompt."""
    lines = ((folder or data()) / task / "prompts.txt").read_text().splitlines()
    return [START[task], *(line.strip() for line in lines if line.strip())]
