"""LoRA by PyTorch and PEFT on a tiny random LLaMA: gradients of one step, the loss of 50 steps, an adapter and its logits.

The base is the fixture `tiny-plain` of `crates/model`, whose weights are random. What is written goes to
`crates/train/tests/fixtures`: the texts and the losses, an adapter before training with the gradients of its first
step, and the adapter after it as PEFT saves it.

    pip install torch transformers peft && python3 scripts/oracles/lora.py

With `--check` it loads an adapter that we wrote and compares PEFT's logits with ours:

    python3 scripts/oracles/lora.py --check BASE ADAPTER LOGITS.json
"""

import json
import pathlib
import random
import sys

HERE = sys.path.pop(0)  # A neighbour of this file has the name of a library.
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, get_cosine_schedule_with_warmup

sys.path.insert(0, HERE)
from common import FIXTURES, ROOT

BASE = FIXTURES / "tiny-plain"
OUT = ROOT / "crates" / "train" / "tests" / "fixtures"
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# At four times this rate PyTorch in f32 and in f64 part by 6e-4 in the loss: rounding would be what is compared.
EPOCHS, BATCH, ACCUMULATE, RATE, WARMUP, DECAY, CLIP = 5, 4, 2, 5e-3, 0.1, 0.01, 1.0


def base():
    return AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32, attn_implementation="eager").eval()


def texts():
    """80 texts in which every completion follows from its prompt: the prompt's bytes, turned round."""
    rng = random.Random(5)
    out = []
    for _ in range(80):
        prompt = [256] + [rng.randrange(33, 60) for _ in range(rng.randint(2, 9))]
        completion = prompt[:0:-1] + [257]
        out.append({"ids": prompt + completion, "prompt": len(prompt)})
    return out


def losses(net, batch):
    """The sum of the losses of all completion tokens of a padded batch, and how many there are."""
    longest = max(len(t["ids"]) for t in batch)
    ids = torch.tensor([t["ids"] + [0] * (longest - len(t["ids"])) for t in batch])
    labels = torch.full_like(ids, -100)
    mask = torch.zeros_like(ids)
    for row, text in enumerate(batch):
        labels[row, text["prompt"] : len(text["ids"])] = ids[row, text["prompt"] : len(text["ids"])]
        mask[row, : len(text["ids"])] = 1
    logits = net(input_ids=ids, attention_mask=mask).logits[:, :-1]
    wanted = labels[:, 1:]
    total = torch.nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), wanted.reshape(-1), ignore_index=-100, reduction="sum"
    )
    return total, int((wanted != -100).sum())


def adapters(net):
    """Every tensor that learns, by the name that it has in a file."""
    return {n.replace(".default", ""): p for n, p in net.named_parameters() if p.requires_grad}


def row(values):
    return [round(v, 6) for v in values]


def logits(net):
    """Logits after some tokens of a text."""
    ids = [(13 * i * i + 3 * i) % 261 for i in range(24)]
    with torch.no_grad():
        rows = net(torch.tensor([ids])).logits[0].tolist()
    return {"ids": ids, "rows": {place: row(rows[place]) for place in (0, 1, 11, 23)}}


def save(net, name):
    """An adapter as PEFT saves it, without its page of advice and without the place of our checkout."""
    net.save_pretrained(OUT / name)
    (OUT / name / "README.md").unlink()
    file = OUT / name / "adapter_config.json"
    config = json.loads(file.read_text()) | {"base_model_name_or_path": BASE.name}
    config["target_modules"].sort()
    file.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")


def train():
    OUT.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(11)
    config = LoraConfig(
        r=4, lora_alpha=8, lora_dropout=0.0, target_modules=MODULES, bias="none", task_type="CAUSAL_LM"
    )
    net = get_peft_model(base(), config).eval()
    with torch.no_grad():
        for name, p in adapters(net).items():
            # B begins at zero, and then A would have no gradient.
            p.copy_(torch.randn_like(p) * (0.2 if "lora_B" in name else 0.3))
    save(net, "start")
    everything, sequence = texts(), []
    optimiser = torch.optim.AdamW(list(adapters(net).values()), lr=RATE, weight_decay=DECAY)
    per_step = BATCH * ACCUMULATE
    steps = EPOCHS * (len(everything) // per_step)
    schedule = get_cosine_schedule_with_warmup(optimiser, round(WARMUP * steps), steps)
    for step in range(steps):
        start = step * per_step % len(everything)
        chunk = everything[start : start + per_step]
        count = sum(len(t["ids"]) - t["prompt"] for t in chunk)
        total = 0.0
        for first in range(0, per_step, BATCH):
            loss, _ = losses(net, chunk[first : first + BATCH])
            (loss / count).backward()
            total += loss.item()
        if step == 0:
            gradients = {n: p.grad.clone() for n, p in adapters(net).items()}
            save_file(gradients, OUT / "gradients.safetensors", metadata={"format": "pt"})
        norm = torch.nn.utils.clip_grad_norm_(adapters(net).values(), CLIP).item()
        sequence.append([round(total / count, 7), round(norm, 7)])
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
    save(net, "trained")
    result = {
        "epochs": EPOCHS, "batch": BATCH, "accumulate": ACCUMULATE, "rate": RATE, "warmup": WARMUP, "decay": DECAY,
        "clip": CLIP, "texts": everything, "steps": sequence, "trained": logits(net), "rslora": rslora(),
    }
    lines = [f"{json.dumps(k)}:{json.dumps(v, separators=(',', ':'))}" for k, v in result.items()]
    (OUT / "lora.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{steps} steps, loss {sequence[0][0]} to {sequence[-1][0]}")


def rslora():
    """An adapter of another scale and of some matrices only."""
    torch.manual_seed(12)
    config = LoraConfig(r=9, lora_alpha=6, use_rslora=True, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM")
    net = get_peft_model(base(), config).eval()
    with torch.no_grad():
        for p in adapters(net).values():
            p.copy_(torch.randn_like(p) * 0.3)
    save(net, "rslora")
    return logits(net)


def check(base_folder, adapter, logits_file):
    net = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32, attn_implementation="eager")
    net = PeftModel.from_pretrained(net, adapter).eval()
    ours = json.loads(pathlib.Path(logits_file).read_text())
    with torch.no_grad():
        theirs = net(torch.tensor([ours["ids"]])).logits[0]
        plain = net.get_base_model()
        net.disable_adapter_layers()
        without = plain(torch.tensor([ours["ids"]])).logits[0]
    worst = (theirs - torch.tensor(ours["rows"])).abs().max().item()
    moved = (theirs - without).abs().max().item()
    print(f"largest difference {worst:.1e}; the adapter moves logits by up to {moved:.2f}")
    assert worst < 1e-4, worst
    assert moved > 1e-2, moved


if __name__ == "__main__":
    check(*sys.argv[2:]) if sys.argv[1:2] == ["--check"] else train()
