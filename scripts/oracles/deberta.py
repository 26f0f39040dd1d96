"""Random DeBERTa reward models by transformers, and what they say: logits, rows of distances, tokens of text pairs.

Two tiny models are kept with their weights: `v3` as the published v3 models are (safetensors, tokenizer.json), `v2` as
the large v2 ones are (a convolution, PyTorch's own file, SentencePiece). A third has the size of deberta-v3-large; its
weights follow from their names by arithmetic that the test repeats, so that only its logits are kept.

    pip install torch transformers sentencepiece protobuf && python3 scripts/oracles/deberta.py
    python3 scripts/oracles/deberta.py large     # 4 GB of memory, some minutes
"""

import io
import json
import math
import sys
import types

HERE = sys.path.pop(0)  # A neighbour of this file has the name of a library.
import numpy as np
import sentencepiece
import torch
from tokenizers import Tokenizer, models, trainers
from transformers import DebertaV2Config, DebertaV2ForSequenceClassification, DebertaV2Tokenizer, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import DebertaV2Converter
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

sys.path.insert(0, HERE)
from common import FIXTURES, texts, write

SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
COMMON = dict(
    hidden_act="gelu", type_vocab_size=0, layer_norm_eps=1e-7, relative_attention=True, max_relative_positions=-1,
    pad_token_id=0, position_biased_input=False, norm_rel_ebd="layer_norm", share_att_key=True, pooler_dropout=0,
    pooler_hidden_act="gelu", num_labels=1, attn_implementation="eager",
)
V3 = dict(
    hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48, max_position_embeddings=512,
    position_buckets=256, pos_att_type=["p2c", "c2p"], pooler_hidden_size=32,
)
V2 = dict(
    hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=40, max_position_embeddings=64,
    position_buckets=16, pos_att_type=["p2c", "c2p"], pooler_hidden_size=24, conv_kernel_size=3, conv_act="gelu",
    attention_head_size=12,
)
LARGE = dict(
    vocab_size=128100, hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096,
    max_position_embeddings=512, position_buckets=256, pos_att_type=["p2c", "c2p"], pooler_hidden_size=1024,
)


def random_model(seed, **shape):
    """A model whose weights are larger than the usual start, so that attention and positions matter."""
    torch.manual_seed(seed)
    net = DebertaV2ForSequenceClassification(DebertaV2Config(**COMMON, **shape)).float().eval()
    with torch.no_grad():
        for name, p in net.named_parameters():
            if "LayerNorm" in name:
                p.add_(torch.randn_like(p) * 0.1)
            elif name.endswith("bias"):
                p.copy_(torch.randn_like(p) * 0.1)
            else:
                p.mul_(6.0)
    return net


def logits(net, lengths, seed):
    """Logits of random texts of these lengths, as one padded batch."""
    size = net.config.vocab_size
    ids = [[(seed + 7919 * i * i + 104729 * i + 31 * n) % (size - 5) + 4 for i in range(n)] for n in lengths]
    longest = max(lengths)
    padded = torch.tensor([row + [0] * (longest - len(row)) for row in ids])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in ids])
    with torch.no_grad():
        out = net(input_ids=padded, attention_mask=mask).logits[:, 0]
    return [{"ids": row, "logit": round(value, 7)} for row, value in zip(ids, out.tolist())]


def unigram():
    """A vocabulary of 400 pieces in the order of transformers' own DeBERTa tokeniser."""
    inner = Tokenizer(models.Unigram())
    words = ["\u2581" + word for text in texts() for word in text.split()]
    trainer = trainers.UnigramTrainer(
        vocab_size=400, special_tokens=SPECIAL + ["[MASK]"], unk_token="[UNK]", show_progress=False, max_piece_length=8
    )
    inner.train_from_iterator(words, trainer)
    vocab = [tuple(entry) for entry in json.loads(inner.to_str())["model"]["vocab"]]
    return DebertaV2Tokenizer(vocab=vocab, unk_id=SPECIAL.index("[UNK]"))


def pieces(path):
    """A SentencePiece model as DeBERTa's: unigram, NFKC, special pieces in front."""
    sentencepiece.set_random_generator_seed(1)
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(t for t in texts() if t.strip()), model_writer=out, model_type="unigram", vocab_size=400,
        normalization_rule_name="nmt_nfkc", pad_id=0, pad_piece="[PAD]", unk_id=3, unk_piece="[UNK]", bos_id=1,
        bos_piece="[CLS]", eos_id=2, eos_piece="[SEP]", user_defined_symbols=["<tool>"], hard_vocab_limit=False,
        character_coverage=0.98, minloglevel=2,
    )
    path.write_bytes(out.getvalue())
    slow = types.SimpleNamespace(
        vocab_file=str(path), do_lower_case=False, split_by_punct=False, add_prefix_space=True,
        convert_tokens_to_ids=lambda token: {"[CLS]": 1, "[SEP]": 2}[token],
    )
    names = dict(cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]", unk_token="[UNK]", mask_token="[MASK]")
    return PreTrainedTokenizerFast(tokenizer_object=DebertaV2Converter(slow).converted(), **names)


def pairs(tokeniser, limit):
    """Token ids of text pairs, cut to `limit`: neighbours, and pairs of which one or both are long."""
    all_texts = texts()
    long, longer = " ".join(all_texts[:30]), " ".join(all_texts[20:70])
    chosen = list(zip(all_texts, all_texts[1:]))
    chosen += [(long, "short"), ("short", long), (long, longer), (longer, long), ("", long), (long, ""), ("", "")]
    chosen += [("a [SEP] b", "[CLS] c [MASK] d [PAD]"), ("use <tool> now", "<tool><tool>")]
    # As a batch: called with one pair, transformers takes an empty answer for none.
    encode = lambda a, b: tokeniser([a], [b], truncation=True, max_length=limit)["input_ids"][0]
    return [{"question": a, "answer": b, "ids": encode(a, b)} for a, b in chosen]


def tiny():
    result = {}
    folder = FIXTURES / "deberta-v3"
    folder.mkdir(parents=True, exist_ok=True)
    tokeniser = unigram()
    tokeniser.save_pretrained(folder)
    net = random_model(3, vocab_size=len(tokeniser), **V3)
    net.save_pretrained(folder)
    # The file is read as it is, as by every other reader of tokenizer.json.
    plain = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    lengths = [1, 2, 17, 64, 128, 129, 130, 300, 511, 512]
    result["v3"] = {"texts": logits(net, lengths, 11), "pairs": pairs(plain, 512)}

    folder = FIXTURES / "deberta-v2"
    folder.mkdir(parents=True, exist_ok=True)
    tokeniser = pieces(folder / "spm.model")
    net = random_model(2, vocab_size=len(tokeniser) + 1, **V2)
    net.config.save_pretrained(folder)
    torch.save(net.state_dict(), folder / "pytorch_model.bin")
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 64}\n')
    result["v2"] = {"texts": logits(net, [1, 2, 3, 9, 16, 17, 40, 64], 5), "pairs": pairs(tokeniser, 64)}
    distance = torch.arange(-511, 512)
    for name, buckets, longest in [("rows_256_512", 256, 512), ("rows_16_64", 16, 64)]:
        rows = make_log_bucket_position(distance, buckets, longest).long() + buckets
        result[name] = torch.clamp(rows, 0, 2 * buckets - 1).tolist()
    write("deberta.json", result)


def uniform(name, shape, scale):
    """Numbers in [-scale/2, scale/2) that follow from the tensor's name: SplitMix64 from its FNV-1a hash."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    out = np.empty(math.prod(shape), dtype=np.float32)
    step = 1 << 22
    for start in range(0, out.size, step):
        i = np.arange(start, min(start + step, out.size), dtype=np.uint64)
        with np.errstate(over="ignore"):
            z = np.uint64(seed) + (i + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z = z ^ (z >> np.uint64(31))
        u = (z >> np.uint64(40)).astype(np.float32) / np.float32(2**24)
        out[start : start + i.size] = (u - np.float32(0.5)) * np.float32(scale)
    return torch.from_numpy(out.reshape(shape))


def large():
    torch.manual_seed(0)
    net = DebertaV2ForSequenceClassification(DebertaV2Config(**COMMON, **LARGE)).float().eval()
    with torch.no_grad():
        for name, p in net.named_parameters():
            values = uniform(name, tuple(p.shape), 0.125)
            p.copy_(values + 1.0 if "LayerNorm.weight" in name else values)
    config = {k: v for k, v in net.config.to_dict().items() if k in COMMON | LARGE or k in ("model_type", "id2label")}
    config["architectures"] = ["DebertaV2ForSequenceClassification"]
    shapes = {name: list(p.shape) for name, p in net.named_parameters()}
    write("deberta-large.json", {"config": config, "shapes": shapes, "texts": logits(net, [1, 33, 130, 512], 7)})


if __name__ == "__main__":
    large() if sys.argv[1:] == ["large"] else tiny()
