"""Logits of several texts by transformers, from the catalogue's GGUF file dequantised to f32.

The token ids come from llama.cpp, because the tokeniser that transformers builds from this file is
another. Of each position the fixture keeps the largest logits and some fixed ones.

    pip install torch transformers gguf llama-cpp-python && python3 scripts/oracles/logits.py
"""

import torch
from llama_cpp import Llama
from transformers import AutoModelForCausalLM

from common import WRITTEN, model, write

FIXED = [0, 1, 2, 42, 500, 1234, 9999, 23456, 34567, 49151]
TOP = 8


def inputs():
    """Short and long texts: chat, prose, and one of more than 256 tokens."""
    chat = (
        "<|im_start|>system\nYou answer briefly.<|im_end|>\n<|im_start|>user\n"
        "Which is heavier, a kilogram of feathers or a kilogram of lead?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    return [
        "The kettle sang before the rain reached the window.",
        chat,
        "A",
        " ".join(WRITTEN[:40]),
    ]


def main():
    path = model()
    tokenise = Llama(str(path), vocab_only=True, verbose=False).tokenize
    torch.manual_seed(0)
    net = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    net.eval()
    cases = []
    for text in inputs():
        ids = tokenise(text.encode(), add_bos=False, special=True)
        with torch.no_grad():
            logits = net(torch.tensor([ids])).logits[0].double()
        # Long texts are checked at some positions only, the last ones included.
        step = max(1, len(ids) // 24)
        places = sorted(set(range(0, len(ids), step)) | {len(ids) - 2, len(ids) - 1} - {-1})
        rows = []
        for place in places:
            top = torch.topk(logits[place], TOP).indices.tolist()
            keep = sorted(set(top + FIXED))
            values = [round(logits[place, i].item(), 5) for i in keep]
            total = round(torch.logsumexp(logits[place], 0).item(), 5)
            rows.append({"place": place, "ids": keep, "logits": values, "logsumexp": total})
        cases.append({"tokens": ids, "rows": rows})
        print(len(ids), "tokens,", len(rows), "rows")
    write("logits.json", cases)


if __name__ == "__main__":
    main()
