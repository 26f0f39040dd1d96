"""A small SentencePiece vocabulary of our own as a GGUF header, and llama.cpp's token ids with it.

Pieces are the commonest substrings of the texts, scored by how common they are, so that many joins
compete; rare characters have no piece and fall back to bytes.

    pip install llama-cpp-python gguf && python3 scripts/oracles/sentencepiece.py
"""

import collections

import gguf
from llama_cpp import Llama

from common import FIXTURES, texts, write

SPACE = "\u2581"
SPECIAL = ["<unk>", "<s>", "</s>"]
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6


def pieces():
    """The characters that occur three times and the 500 commonest substrings of two to seven."""
    counts = collections.Counter()
    for text in texts():
        text = SPACE + text.replace(" ", SPACE)
        for size in range(1, 8):
            counts.update(text[i : i + size] for i in range(len(text) - size + 1))
    singles = sorted(p for p, n in counts.items() if len(p) == 1 and n >= 3 and p not in "\x00")
    longer = sorted((-n * len(p), p) for p, n in counts.items() if len(p) > 1 and n >= 4)
    return [p for _, p in longer[:500]], singles


def write_header(path):
    longer, singles = pieces()
    tokens = SPECIAL + [f"<0x{b:02X}>" for b in range(256)] + longer + singles
    kinds = [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * (len(longer) + len(singles))
    # Every second pair of pieces has the same score: the leftmost join must win then.
    scores = [0.0] * 259 + [-float(i // 2) for i in range(len(longer))] + [-1000.0] * len(singles)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(8)
    writer.add_feed_forward_length(8)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    FIXTURES.mkdir(parents=True, exist_ok=True)
    path = FIXTURES / "sentencepiece.gguf"
    write_header(path)
    llama = Llama(str(path), vocab_only=True, verbose=False)
    encode = lambda text: llama.tokenize(text.encode(), add_bos=False, special=False)
    write("sentencepiece.json", [{"text": t, "ids": encode(t)} for t in texts()])


if __name__ == "__main__":
    main()
