"""CAPO (promptolution): crossover and mutation of instructions with up to five demonstrations, racing in blocks.

Its own settings are 10 prompts and blocks of 30, for budgets of thousands of calls: one race of the first generation would
cost more than 400. Here 5 prompts and 3 offspring race over blocks of 15.
"""

from promptolution.optimizers import CAPO

from methods.promptolution_ import STEPS, prepare


def run(job):
    parts = prepare(job, job.pool, n_subsamples=15, eval_strategy="sequential_block")
    CAPO(**parts, initial_prompts=job.initial[:5], crossovers_per_iter=3).optimize(STEPS)
