import concurrent.futures
import json
import pathlib
import tempfile
import unittest
import urllib.error
import urllib.request

from gateway import TARGET_TOKENS, Gateway, Refused, Upstream
from memo import Memo


class Model(Upstream):
    """The model as far as a test needs it: says how long the last message is, and refuses long ones."""

    def call(self, question):
        text = question["messages"][-1]["content"]
        if text == "too long":
            return {"status": 400, "error": {"error": {"message": "too long"}}}
        said = f"{len(text)} {question.get('seed', 'greedy')}"
        return {"text": said, "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}


class Serving(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.memo = pathlib.Path(folder.name) / "answers.sqlite"
        self.begin()

    def begin(self):
        self.upstream = Model(0, "model", Memo(self.memo))
        self.gateway = Gateway(self.upstream)
        self.addCleanup(self.gateway.server.server_close)
        self.account, self.url = self.gateway.open("sst2.0.opro.3", 3, "seed")

    def post(self, path, body):
        request = urllib.request.Request(f"{self.url}/{path}", json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request) as reply:
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def ask(self, text, model="target", **more):
        return self.post("v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": text}]} | more)

    def test_repeated_questions_count_and_are_computed_once(self):
        for _ in range(3):
            status, body = self.ask("hello")
            self.assertEqual((status, body["choices"][0]["message"]["content"]), (200, "5 greedy"))
        self.assertEqual((self.account.calls, self.account.repeated, self.upstream.computed), (3, 2, 1))

    def test_what_is_asked_beyond_the_budget_is_refused_and_closes_the_cell(self):
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            replies = list(threads.map(lambda i: self.ask(f"{i}")[0], range(8)))
        self.assertEqual(sorted(replies), [200] * 3 + [402] * 5)
        self.assertEqual((self.account.calls, self.account.refused), (3, 5))
        self.assertTrue(self.account.closed.is_set())
        self.assertEqual(self.ask("more", "proposer")[0], 402)

    def test_incumbents_are_those_of_their_moment(self):
        say = lambda text, **more: self.post("incumbent", {"messages": [text], "validation": 0.5} | more)[1]["taken"]
        self.assertTrue(say("first"))
        self.ask("a"), self.ask("b")
        self.assertTrue(say("second"))
        self.ask("c"), self.ask("d")
        # It rests on a refused call.
        self.assertFalse(say("third"))
        known = [self.account.at(calls)["messages"][0] for calls in (0, 1, 2, 3)]
        self.assertEqual(known, ["first", "first", "second", "second"])

    def test_a_past_told_at_the_end_counts_for_its_own_moments_and_none_later_than_now(self):
        self.ask("a"), self.ask("b"), self.ask("c"), self.ask("d")
        for calls, text in ((0, "first"), (2, "second"), (99, "last")):
            self.assertTrue(self.post("incumbent", {"messages": [text], "validation": None, "calls": calls})[1]["taken"])
        self.assertEqual([self.account.at(calls)["messages"][0] for calls in (1, 2, 3)], ["first", "second", "last"])

    def test_the_target_is_greedy_and_short_whatever_is_asked(self):
        self.assertEqual(self.ask("x", temperature=1.5, max_tokens=500)[1]["choices"][0]["finish_reason"], "stop")
        question = {"messages": [{"role": "user", "content": "x"}], "max_tokens": TARGET_TOKENS, "temperature": 0}
        self.assertEqual(self.upstream.memo.get(question)["text"], "1 greedy")

    def test_the_proposer_draws_anew_each_time_and_the_same_when_run_again(self):
        texts = lambda: [self.ask("x", "proposer")[1]["choices"][0]["message"]["content"] for _ in range(2)]
        first = texts()
        self.assertNotEqual(*first)
        self.assertEqual(self.account.proposer, {"calls": 2, "prompt_tokens": 10, "completion_tokens": 4})
        self.assertEqual(self.account.calls, 0)
        self.begin()
        self.assertEqual(texts(), first)
        self.assertEqual(self.upstream.computed, 0)

    def test_a_question_that_is_too_long_is_a_call_and_an_error(self):
        self.assertEqual(self.ask("too long")[0], 400)
        self.assertEqual(self.account.calls, 1)
        self.assertFalse(self.account.closed.is_set())
        self.assertEqual(self.gateway.test([{"role": "user", "content": "too long"}]), "")


if __name__ == "__main__":
    unittest.main()
