"""OPRO (promptolution), from the start prompt alone. 30 examples score a prompt; 4 new ones a step instead of 8, so that the
first step ends within 200 calls."""

from promptolution.optimizers import OPRO

from methods.promptolution_ import STEPS, prepare


def run(job):
    parts = prepare(job, job.pool[:30], eval_strategy="full")
    OPRO(**parts, initial_prompts=job.initial[:1], num_instructions_per_step=4).optimize(STEPS)
