"""The same batches through PyTorch or ONNX Runtime: one engine a process, so that memory is its own.

`peer.py torch|ort FOLDER BATCHES.json ROUNDS` prints what the Rust program prints. `peer.py make FOLDER` makes the model,
`peer.py export FOLDER` its ONNX file, `peer.py batches FILE COUNT` the batches.
"""

import json
import random
import resource
import sys
import time

THREADS = 2
BATCH = 8
LARGE = dict(
    vocab_size=128100, hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096,
    hidden_act="gelu", max_position_embeddings=512, type_vocab_size=0, layer_norm_eps=1e-7, relative_attention=True,
    max_relative_positions=-1, pad_token_id=0, position_biased_input=False, pos_att_type=["p2c", "c2p"],
    position_buckets=256, share_att_key=True, norm_rel_ebd="layer_norm", pooler_dropout=0, pooler_hidden_act="gelu",
    pooler_hidden_size=1024, num_labels=1,
)


def make(folder):
    """A model of the size of deberta-v3-large with random weights, and a tokeniser so that the folder is whole."""
    import torch
    from tokenizers import Tokenizer, models, processors
    from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

    torch.manual_seed(0)
    net = DebertaV2ForSequenceClassification(DebertaV2Config(**LARGE)).float().eval()
    net.save_pretrained(folder)
    special = [("[PAD]", 0.0), ("[CLS]", 0.0), ("[SEP]", 0.0), ("[UNK]", 0.0)]
    inner = Tokenizer(models.Unigram(special, unk_id=3))
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    inner.save(f"{folder}/tokenizer.json")


def batches(file, count):
    """Texts of 32 to 256 tokens, the longest first, eight together."""
    draw = random.Random(1)
    texts = [[draw.randint(5, 100_000) for _ in range(draw.randint(32, 256))] for _ in range(int(count))]
    texts.sort(key=len, reverse=True)
    with open(file, "w") as out:
        json.dump([texts[i : i + BATCH] for i in range(0, len(texts), BATCH)], out)


def padded(batch):
    longest = max(map(len, batch))
    ids = [text + [0] * (longest - len(text)) for text in batch]
    return ids, [[1] * len(text) + [0] * (longest - len(text)) for text in batch]


def with_torch(folder):
    import torch
    from transformers import DebertaV2ForSequenceClassification

    torch.set_num_threads(THREADS)
    net = DebertaV2ForSequenceClassification.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    net.eval()

    def score(batch):
        ids, mask = padded(batch)
        with torch.inference_mode():
            return net(input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask)).logits[:, 0].tolist()

    return score


def export(folder):
    import torch
    from transformers import DebertaV2ForSequenceClassification

    net = DebertaV2ForSequenceClassification.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net.eval()

        def forward(self, ids, mask):
            return self.net(input_ids=ids, attention_mask=mask).logits

    ids = torch.randint(5, 100_000, (2, 64))
    axes = {"ids": {0: "n", 1: "t"}, "mask": {0: "n", 1: "t"}}
    with torch.no_grad():
        torch.onnx.export(
            Logits(), (ids, torch.ones_like(ids)), f"{folder}/model.onnx", input_names=["ids", "mask"],
            output_names=["logits"], dynamic_axes=axes, opset_version=17, dynamo=False,
        )


def with_ort(folder):
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(f"{folder}/model.onnx", options, providers=["CPUExecutionProvider"])

    def score(batch):
        ids, mask = padded(batch)
        out = session.run(None, {"ids": np.array(ids, dtype=np.int64), "mask": np.array(mask, dtype=np.int64)})
        return out[0][:, 0].tolist()

    return score


def measure(engine, folder, file, rounds):
    with open(file) as source:
        all_batches = json.load(source)
    started = time.perf_counter()
    score = {"torch": with_torch, "ort": with_ort}[engine](folder)
    load = time.perf_counter() - started
    score(all_batches[0])
    seconds, rewards = [], []
    for _ in range(int(rounds)):
        started = time.perf_counter()
        rewards = [reward for batch in all_batches for reward in score(batch)]
        seconds.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"load_seconds": load, "seconds": seconds, "peak_mib": peak, "rewards": rewards}))


if __name__ == "__main__":
    task, *rest = sys.argv[1:]
    {"make": make, "batches": batches, "export": export}.get(task, lambda *a: measure(task, *a))(*rest)
