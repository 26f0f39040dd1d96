"""What every peer program shares: its arguments and the question all clients ask."""

import json
import sys
import time
from collections.abc import Callable


def question(i: int) -> str:
    return f"Question {i} of the list: which letter is the answer to it?"


def main(evaluate: Callable[[str, int, int], int]) -> None:
    """Runs `evaluate(url, n, concurrency)`, which says how many answers were right, and insists on all."""
    url, n, concurrency = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    begun = time.monotonic()
    right = evaluate(url, n, concurrency)
    took = time.monotonic() - begun
    if right != n:
        sys.exit(f"{right} of {n} answers are right: the figure would be of something else")
    print(json.dumps({"took": {"wall_s": took}}))
