"""Whether llama.cpp runs a GGUF file, and says what we say: the logits after a text.

    pip install llama-cpp-python && python3 scripts/oracles/llama.py MODEL.gguf OURS.json

OURS.json has {"ids", "last"}: the tokens of a text and our logits after the last of them. Prints the largest difference,
and ends with an error when it is 0.5 or more, or when another token is the likeliest: llama.cpp rounds what it multiplies with
blocks to 8 bits, and we do not.
"""

import json
import pathlib
import sys

from llama_cpp import Llama

ALLOWED = 0.5


def main(model, ours):
    ours = json.loads(pathlib.Path(ours).read_text())
    llama = Llama(model_path=model, n_ctx=512, logits_all=True, verbose=False)
    llama.eval(ours["ids"])
    theirs = llama.scores[len(ours["ids"]) - 1].tolist()
    assert len(theirs) == len(ours["last"]), (len(theirs), len(ours["last"]))
    worst = max(abs(a - b) for a, b in zip(theirs, ours["last"]))
    likeliest = [max(range(len(of)), key=of.__getitem__) for of in (theirs, ours["last"])]
    print(f"llama.cpp: largest difference of logits {worst:.1e}, likeliest tokens {likeliest}")
    assert worst < ALLOWED and likeliest[0] == likeliest[1], (worst, likeliest)


if __name__ == "__main__":
    main(*sys.argv[1:])
