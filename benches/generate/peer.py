"""llama.cpp's side of the comparison, through its own C functions: `peer.py MODEL TASKS.json SETTINGS.json`.

Prints what the Rust program prints. The settings say what llama.cpp is run with in each part; the harness finds the best.
"""

import ctypes
import json
import os
import resource
import sys
import time

import llama_cpp as llama
import numpy as np

THREADS = int(os.environ["THREADS"])
# The processor's time of this process, or the wall's.
clock = time.process_time if os.environ["CLOCK"] == "cpu" else time.perf_counter
WRITTEN = 128
TOGETHER = 32
READINGS = 3


class Context:
    """Texts that a model reads side by side, each with a number."""

    def __init__(self, model, tokens, texts=1, flash=0, unified=True, micro=512):
        parameters = llama.llama_context_default_params()
        parameters.n_ctx = tokens
        parameters.n_batch = parameters.n_ubatch = micro
        parameters.n_batch = max(micro, 2048)
        parameters.n_seq_max = texts
        parameters.n_threads = parameters.n_threads_batch = THREADS
        parameters.flash_attn_type = flash
        parameters.kv_unified = unified
        parameters.no_perf = True
        self.inner = llama.llama_init_from_model(model, parameters)
        assert self.inner, "llama.cpp made no context"
        self.memory = llama.llama_get_memory(self.inner)
        self.vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
        self.batch = llama.llama_batch_init(parameters.n_batch, 0, texts)
        view = lambda field: np.ctypeslib.as_array(getattr(self.batch, field), (parameters.n_batch,))
        self.token, self.pos, self.count, self.wanted = map(view, ("token", "pos", "n_seq_id", "logits"))
        self.fill = 0

    def add(self, tokens, start, texts, wanted):
        """Puts tokens in the batch, for all these texts from position `start`; logits after the last `wanted`."""
        end = self.fill + len(tokens)
        self.token[self.fill : end] = tokens
        self.pos[self.fill : end] = range(start, start + len(tokens))
        self.count[self.fill : end] = len(texts)
        self.wanted[self.fill : end] = 0
        if wanted:
            self.wanted[end - wanted : end] = 1
        for i in range(self.fill, end):
            for j, text in enumerate(texts):
                self.batch.seq_id[i][j] = text
        self.fill = end

    def decode(self):
        """Reads the batch; the logits that were wanted, a row each."""
        self.batch.n_tokens, self.fill = self.fill, 0
        code = llama.llama_decode(self.inner, self.batch)
        assert code == 0, f"llama.cpp answered {code}"
        rows = int(self.wanted[: self.batch.n_tokens].sum())
        return np.ctypeslib.as_array(llama.llama_get_logits(self.inner), (rows, self.vocabulary)) if rows else None

    def forget(self):
        llama.llama_memory_clear(self.memory, False)

    def close(self):
        llama.llama_batch_free(self.batch)
        llama.llama_free(self.inner)


def prompt(context, texts):
    """Reads texts up to the first new token of each."""
    picked = []
    for number, text in enumerate(texts):
        context.add(text, 0, [number], 1)
        picked.append(int(context.decode()[0].argmax()))
    return picked


def step(context, picked, place):
    """The next token of each text, greedily."""
    for number, token in enumerate(picked):
        context.add([token], place, [number], 1)
    return context.decode().argmax(axis=1).tolist()


def read(context, text):
    context.forget()
    started = clock()
    prompt(context, [text])
    return len(text) / (clock() - started)


def write(context, texts, steps):
    """Tokens a second, and what the first text was written on with."""
    context.forget()
    picked = prompt(context, texts)
    place, written = len(texts[0]), [picked[0]]
    started = clock()
    for i in range(steps):
        picked = step(context, picked, place + i)
        written.append(picked[0])
    return steps * len(texts) / (clock() - started), written


def log_sums(rows):
    """The logarithm of the sum of e^x of each row."""
    top = rows.max(axis=1, keepdims=True)
    return (top + np.log(np.exp(rows - top).sum(axis=1, keepdims=True)))[:, 0]


def in_one(context, questions):
    """Everything in one batch: the tokens of a prefix belong to all the texts of its question."""
    for at, question in enumerate(questions):
        numbers = range(4 * at, 4 * at + 4)
        context.add(question["prefix"], 0, numbers, 1)
        for number, choice in zip(numbers, question["choices"]):
            if len(choice) > 1:
                context.add(choice[:-1], len(question["prefix"]), [number], len(choice) - 1)
    return context.decode()


def in_two(context, questions):
    """First the prefixes; then the choices, as texts that begin with what was read."""
    for at, question in enumerate(questions):
        context.add(question["prefix"], 0, [4 * at], 1)
    firsts = context.decode().copy()
    rows = [[row] for row in firsts]
    for at, question in enumerate(questions):
        for number, choice in zip(range(4 * at, 4 * at + 4), question["choices"]):
            if number != 4 * at:
                llama.llama_memory_seq_cp(context.memory, 4 * at, number, -1, -1)
            if len(choice) > 1:
                context.add(choice[:-1], len(question["prefix"]), [number], len(choice) - 1)
    rest = context.decode() if context.fill else np.empty((0, context.vocabulary), np.float32)
    lengths = [sum(len(choice) - 1 for choice in question["choices"]) for question in questions]
    for row, more in zip(rows, np.split(rest, np.cumsum(lengths)[:-1])):
        row.extend(more)
    return np.concatenate([np.stack(row) for row in rows])


def score(context, asked, block, way):
    """Questions a second, and the log-likelihood of every choice."""
    scores, started = [], clock()
    for begin in range(0, len(asked), block):
        questions = asked[begin : begin + block]
        context.forget()
        rows = way(context, questions)
        sums, at = log_sums(rows), 0
        for question in questions:
            first, at, found = at, at + 1, []
            for choice in question["choices"]:
                places = [first, *range(at, at + len(choice) - 1)]
                at += len(choice) - 1
                found.append(float(sum(rows[place, token] - sums[place] for place, token in zip(places, choice))))
            scores.append(found)
    return len(asked) / (clock() - started), scores


def check(context, short):
    """Sixteen tokens after a short text, the likeliest token at each place of it, and the logits of the last."""
    context.forget()
    context.add(short, 0, [0], len(short))
    logits = context.decode()
    likeliest, last = logits.argmax(axis=1).tolist(), logits[-1].tolist()
    return {"short": write(context, [short], 15)[1], "likeliest": likeliest, "logits": last}


def measure(file, tasks, settings):
    llama.llama_backend_init()
    silent = llama.llama_log_callback(lambda *_: None)
    llama.llama_log_set(silent, ctypes.c_void_p())
    started = clock()
    parameters = llama.llama_model_default_params()
    parameters.n_gpu_layers = 0
    model = llama.llama_model_load_from_file(file.encode(), parameters)
    context = Context(model, 1024, **settings["alone"])
    out = {"load_seconds": clock() - started}
    check(context, tasks["short"])
    out["read"] = [read(context, tasks["read"]) for _ in range(READINGS)]
    out["alone"] = [write(context, tasks["begun"][:1], WRITTEN)[0]]
    out |= check(context, tasks["short"])
    context.close()
    texts = len(tasks["begun"])
    context = Context(model, 256 * texts, texts, **settings["together"])
    out["together"] = [write(context, tasks["begun"], TOGETHER)[0]]
    context.close()
    how = dict(settings["questions"])
    block, way = how.pop("block"), {"one": in_one, "two": in_two}[how.pop("way")]
    room = 4 * block * 256
    context = Context(model, room, 4 * block, **how)
    rate, out["scores"] = score(context, tasks["asked"], block, way)
    out["questions"] = [rate]
    context.close()
    out["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return out


if __name__ == "__main__":
    file, tasks, settings = sys.argv[1:]
    print(json.dumps(measure(file, json.load(open(tasks)), json.loads(settings))))
