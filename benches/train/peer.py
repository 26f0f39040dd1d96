"""The same training through PyTorch, transformers and PEFT.

`peer.py measure FOLDER STEPS [checkpointing] [eager]` prints what the Rust program prints. `peer.py make FOLDER` makes the texts
and the adapter that all begin with.
"""

import json
import pathlib
import random
import sys
import time

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, get_cosine_schedule_with_warmup

THREADS = 2
TEXTS, TOKENS = 8, 64
# As the reference recipe of our plan has them.
RATE, CLIP = 2e-4, 1.0
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj"]


def base(folder, attention="sdpa"):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention)


def make(folder):
    """Texts of drawn tokens, of which the second half is learnt; an adapter whose B is not zero, so that A learns too."""
    draw = random.Random(1)
    ids = [[draw.randint(100, 40_000) for _ in range(TOKENS)] for _ in range(TEXTS)]
    texts = [{"ids": text, "prompt": TOKENS // 2} for text in ids]
    (folder / "texts.json").write_text(json.dumps(texts))
    torch.manual_seed(1)
    config = LoraConfig(r=8, lora_alpha=16, lora_dropout=0.0, target_modules=MODULES, task_type="CAUSAL_LM")
    net = get_peft_model(base(folder), config)
    with torch.no_grad():
        for name, weights in net.named_parameters():
            if "lora_B" in name:
                weights.normal_(std=0.01)
    net.save_pretrained(folder / "start")


def trainable(folder, how):
    attention = "eager" if "eager" in how else "sdpa"
    net = PeftModel.from_pretrained(base(folder, attention), folder / "start", is_trainable=True).train()
    net.config.use_cache = False
    if "checkpointing" in how:
        net.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return net


def batch(folder):
    texts = json.loads((folder / "texts.json").read_text())
    ids = torch.tensor([text["ids"] for text in texts])
    labels = ids.clone()
    for row, text in zip(labels, texts):
        row[: text["prompt"]] = -100
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


def measure(folder, steps, *how):
    torch.set_num_threads(THREADS)
    steps = int(steps)
    started = time.perf_counter()
    net = trainable(folder, how)
    load = time.perf_counter() - started
    learnt = [weights for weights in net.parameters() if weights.requires_grad]
    optimiser = torch.optim.AdamW(learnt, lr=RATE, weight_decay=0.0)
    schedule = get_cosine_schedule_with_warmup(optimiser, 0, steps)
    given = batch(folder)
    seconds, losses = [], []
    for _ in range(steps):
        started = time.perf_counter()
        loss = net(**given).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learnt, CLIP)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"load_seconds": load, "seconds": seconds, "losses": losses, "peak_mib": peak_mib()}))


def peak_mib():
    status = pathlib.Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024


if __name__ == "__main__":
    task, folder, *rest = sys.argv[1:]
    {"make": make, "measure": measure}[task](pathlib.Path(folder), *rest)
