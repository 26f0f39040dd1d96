"""promptolution's APILLM; scoring is left out, which favours it."""

from common import main, question
from promptolution.llms import APILLM


def evaluate(url: str, n: int, concurrency: int) -> int:
    llm = APILLM(
        api_url=url,
        model_id="mock",
        api_key="none",
        max_tokens=256,
        max_concurrent_calls=concurrency,
        gather_timeout_s=3_600.0,
    )
    replies = llm.get_response([question(i) for i in range(n)])
    return sum(reply == "A" for reply in replies)


main(evaluate)
