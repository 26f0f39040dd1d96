"""Token ids of many texts by llama.cpp, with the vocabulary of the catalogue's model.

Besides the model's own way of cutting words, the other ways that we support are tried on the same
vocabulary: the header is written anew with another `tokenizer.ggml.pre`.

    pip install llama-cpp-python gguf && python3 scripts/oracles/tokens.py
"""

import pathlib
import tempfile

import gguf
from llama_cpp import Llama

from common import model, texts, write

PRES = ["smollm", "gpt-2", "default", "llama-bpe", "qwen2"]


def vocabulary(path, pre, folder):
    """A GGUF file with nothing but the vocabulary of `path`, to be cut the way `pre` says."""
    reader = gguf.GGUFReader(path)
    get = lambda key: reader.fields[key].contents()
    out = pathlib.Path(folder) / f"{pre}.gguf"
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_block_count(get("llama.block_count"))
    writer.add_context_length(get("llama.context_length"))
    writer.add_embedding_length(get("llama.embedding_length"))
    writer.add_feed_forward_length(get("llama.feed_forward_length"))
    writer.add_head_count(get("llama.attention.head_count"))
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(get("tokenizer.ggml.tokens"))
    writer.add_token_types(get("tokenizer.ggml.token_type"))
    writer.add_token_merges(get("tokenizer.ggml.merges"))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


def main():
    path = model()
    cases = [{"text": text} for text in texts()]
    with tempfile.TemporaryDirectory() as folder:
        for pre in PRES:
            own = pre == "smollm"
            file = path if own else vocabulary(path, pre, folder)
            llama = Llama(str(file), vocab_only=True, verbose=False)
            for case in cases:
                raw = case["text"].encode()
                case[pre] = llama.tokenize(raw, add_bos=False, special=True)
                if own:
                    case["plain"] = llama.tokenize(raw, add_bos=False, special=False)
    for case in cases:
        # Only what differs from the model's own way, to keep the file small.
        for key in PRES[1:] + ["plain"]:
            if case[key] == case["smollm"]:
                del case[key]
    write("tokens.json", cases)


if __name__ == "__main__":
    main()
