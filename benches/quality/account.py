"""What one cell has used, and what it would have answered at any moment."""

import collections
import threading


class Account:
    """Calls of the target up to a budget, calls of the proposer, and the prompts that were the best so far.

    A call counts when it is asked, whether or not the answer is known from elsewhere. With the first refusal the account is
    closed: what is reported later rests on refused calls, and does not count.
    """

    def __init__(self, budget):
        self.budget = budget
        self.lock = threading.Lock()
        self.closed = threading.Event()
        self.calls = self.refused = 0
        self.proposer = {"calls": 0, "prompt_tokens": 0, "completion_tokens": 0}
        self.target = {"prompt_tokens": 0, "completion_tokens": 0}
        self.repeated = 0
        self.asked = collections.Counter()
        self.incumbents = []

    def take(self, question):
        """Whether one more call is within the budget."""
        with self.lock:
            if self.calls >= self.budget:
                self.refused += 1
                self.closed.set()
                return False
            self.calls += 1
            self.repeated += self.asked[question] > 0
            self.asked[question] += 1
            return True

    def spent(self, usage):
        with self.lock:
            for name in self.target:
                self.target[name] += usage[name]

    def proposed(self, question):
        """How often the proposer has been asked this before: fresh draws of the same question differ."""
        with self.lock:
            self.proposer["calls"] += 1
            before = self.asked[question]
            self.asked[question] += 1
            return before

    def wrote(self, usage):
        with self.lock:
            for name in ("prompt_tokens", "completion_tokens"):
                self.proposer[name] += usage[name]

    def incumbent(self, messages, validation, calls=None, note=None):
        """Takes down what a method would answer now. One that learns of its own past only at its end says at how many
        calls each was (never more than it had made)."""
        with self.lock:
            if self.closed.is_set() and calls is None:
                return False
            at = self.calls if calls is None else min(calls, self.calls)
            self.incumbents.append({"calls": at, "validation": validation, "messages": messages, "note": note})
            return True

    def at(self, calls):
        """The last incumbent that was known after so many calls."""
        known = [found for found in self.incumbents if found["calls"] <= calls]
        return known[-1] if known else None
