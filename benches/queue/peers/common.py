"""What every peer's program shares."""

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

DATABASE = os.environ["BENCH_DATABASE_URL"]
BROKER = os.environ["BENCH_AMQP_URL"]
# Every run has queues of its own.
QUEUE = os.environ["BENCH_PREFIX"]

# Callers at once, where a client waits for a confirm after every message.
CALLERS = 8


def fill(put: Callable[[range], None], callers: int = 1) -> None:
    """Puts tasks in when the harness says go, and tells how long it took."""
    n = int(sys.argv[2])
    shares = [range(first, n, callers) for first in range(callers)]
    print("ready", flush=True)
    sys.stdin.readline()
    begun = time.monotonic()
    with ThreadPoolExecutor(callers) as pool:
        for done in [pool.submit(put, share) for share in shares if share]:
            done.result()
    print(json.dumps({"fill_s": time.monotonic() - begun}), flush=True)
