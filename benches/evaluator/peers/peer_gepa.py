"""gepa's DefaultAdapter, which asks through litellm.batch_completion."""

import litellm  # noqa: F401  gepa imports it with the first call: seconds that are not the call's
from common import main, question
from gepa.adapters.default_adapter.default_adapter import DefaultAdapter


def evaluate(url: str, n: int, concurrency: int) -> int:
    adapter = DefaultAdapter(
        model="openai/mock",
        max_litellm_workers=concurrency,
        litellm_batch_completion_kwargs={"api_base": url, "api_key": "none"},
    )
    batch = [{"input": question(i), "additional_context": {}, "answer": "A"} for i in range(n)]
    result = adapter.evaluate(batch, {"system_prompt": "Answer with one letter."})
    return sum(score == 1.0 for score in result.scores)


main(evaluate)
