"""EvoPrompt's genetic algorithm (promptolution). It scores every prompt on the whole of its data: with the paper's 10 prompts
on 200 examples the first generation would cost 2,000 calls. Here 6 prompts on 30 examples, 180 a generation."""

from promptolution.optimizers import EvoPromptGA

from methods.promptolution_ import STEPS, prepare


def run(job):
    parts = prepare(job, job.pool[:30], eval_strategy="full")
    EvoPromptGA(**parts, initial_prompts=job.initial[:6]).optimize(STEPS)
