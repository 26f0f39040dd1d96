"""A tiny random LLaMA in Hugging Face's layout, and its logits by transformers.

Two layers of width 32, four query heads over two key-value heads, a head of its own, once with plain
rotations and once with Llama 3's scaling. The tokeniser is byte-level with no merges, so a text has as
many tokens as bytes.

    pip install torch transformers tokenizers && python3 scripts/oracles/tiny.py
"""

import json

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

from common import FIXTURES, write

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ '<|' + m.role + '|>' + m.content.strip() + '</s>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
SPECIAL = ["<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>"]


def tokeniser(folder):
    """All 256 bytes and the special tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {c: i for i, c in enumerate(alphabet)}
    inner = Tokenizer(models.BPE(vocabulary, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    inner.save(str(folder / "tokenizer.json"))
    side = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "chat_template": TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(side, indent=1) + "\n")
    return inner


def main():
    results = {}
    scalings = {
        "plain": None,
        "llama3": {
            "rope_type": "llama3",
            "factor": 4.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        },
    }
    for name, scaling in scalings.items():
        folder = FIXTURES / f"tiny-{name}"
        folder.mkdir(parents=True, exist_ok=True)
        inner = tokeniser(folder)
        rope = {"rope_type": "default"} | (scaling or {}) | {"rope_theta": 10000.0}
        config = LlamaConfig(
            vocab_size=inner.get_vocab_size(),
            hidden_size=32,
            intermediate_size=56,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=128,
            rms_norm_eps=1e-5,
            tie_word_embeddings=False,
            bos_token_id=inner.token_to_id("<s>"),
            eos_token_id=inner.token_to_id("</s>"),
            rope_parameters=rope,
        )
        torch.manual_seed(7)
        net = LlamaForCausalLM(config).float().eval()
        with torch.no_grad():
            for p in net.parameters():
                # Larger than the usual start, so that attention and rotations matter.
                p.mul_(4.0) if p.dim() == 2 else p.add_(torch.randn_like(p) * 0.1)
        net.save_pretrained(folder)
        ids = [(17 * i * i + 5 * i) % config.vocab_size for i in range(70)]
        with torch.no_grad():
            logits = net(torch.tensor([ids])).logits[0]
        rows = {i: [round(v, 6) for v in logits[i].tolist()] for i in (0, 1, 31, 69)}
        results[name] = {"tokens": ids, "rows": rows}
    write("tiny.json", results)


if __name__ == "__main__":
    main()
