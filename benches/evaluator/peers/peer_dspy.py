"""dspy.Evaluate over dspy.Predict, cache off."""

import dspy
from common import main, question


def evaluate(url: str, n: int, concurrency: int) -> int:
    dspy.configure(lm=dspy.LM("openai/mock", api_base=url, api_key="none", cache=False, num_retries=0))
    examples = [dspy.Example(question=question(i), answer="A").with_inputs("question") for i in range(n)]
    result = dspy.Evaluate(
        devset=examples,
        metric=lambda example, said, trace=None: example.answer == said.answer,
        num_threads=concurrency,
        display_progress=False,
        max_errors=10**9,
    )(dspy.Predict("question -> answer"))
    return sum(bool(score) for _, _, score in result.results)


main(evaluate)
