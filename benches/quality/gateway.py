"""One HTTP server between all methods and the model: it counts, refuses, remembers and takes down.

Paths begin with a cell's name, so that each method asks through a base URL of its own: `/CELL/v1/chat/completions` with the
model `target` or `proposer`, `/CELL/incumbent` with what the method would answer now.
"""

import http.client
import http.server
import json
import os
import threading

from account import Account
from tasks import digest

# Tokens of a reply. The target says a label; what it says after so many is no part of its reply.
TARGET_TOKENS, PROPOSER_TOKENS, PROPOSER_MOST = 16, 256, 400
TEMPERATURE = 0.8
# Requests that the model has in hand at once; as many as `promptimal serve --rows`.
TOGETHER = 16


class Refused(Exception):
    """The model cannot answer this question (it is too long, say): (status, body)."""


class Upstream:
    """`promptimal serve`, remembered."""

    def __init__(self, port, model, memo):
        self.port, self.model, self.memo = port, model, memo
        self.room = threading.Semaphore(TOGETHER)
        self.local = threading.local()
        self.computed = 0

    def ask(self, question):
        """(text, usage) to a question: messages, max_tokens, temperature and, where it is not 0, a seed."""
        known = self.memo.get(question)
        if known is None:
            with self.room:
                known = self.call(question)
            self.computed += 1
            self.memo.put(question, known)
        if "error" in known:
            raise Refused(known["status"], known["error"])
        return known["text"], known["usage"]

    def call(self, question):
        status, body = self.post(json.dumps(question | {"model": self.model}))
        if status == 400:
            return {"status": status, "error": body}
        if status != 200:
            raise RuntimeError(f"the model says {status}: {body}")
        return {"text": body["choices"][0]["message"]["content"], "usage": body["usage"]}

    def post(self, body):
        for attempt in range(3):
            connection = getattr(self.local, "connection", None)
            if connection is None:
                connection = self.local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=900)
            try:
                connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                return response.status, json.loads(response.read())
            except (http.client.HTTPException, ConnectionError) as error:
                connection.close()
                self.local.connection, last = None, error
        raise RuntimeError(f"the model does not answer: {last}")


def plain(messages):
    """Messages as role and text, whatever form their content had."""
    made = []
    for message in messages:
        content = message["content"]
        if isinstance(content, list):
            content = "".join(part["text"] for part in content)
        made.append({"role": message["role"], "content": content})
    return made


class Gateway:
    def __init__(self, upstream):
        self.upstream, self.accounts = upstream, {}
        gateway = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                _, cell, path = self.path.split("/", 2)
                status, reply = gateway.reply(cell, path, body)
                raw = json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads, request_queue_size = True, 256

            def handle_error(self, *_):
                # A method that was stopped has closed its connections.
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def open(self, cell, budget, seed):
        account = self.accounts[cell] = Account(budget)
        account.seed, account.failed = seed, None
        return account, f"http://127.0.0.1:{self.server.server_port}/{cell}"

    def reply(self, cell, path, body):
        account = self.accounts.get(cell)
        if account is None:
            return 404, error(f"no cell {cell}")
        if path == "incumbent":
            return 200, {"taken": account.incumbent(**body)}
        if not path.endswith("chat/completions"):
            return 404, error(f"no path {path}")
        if body.get("n") not in (None, 1):
            return 400, error("one reply to a request")
        try:
            asked = {"target": self.target, "proposer": self.proposer}[body["model"]]
            return asked(account, body)
        except Refused as refused:
            return refused.args
        except RuntimeError as failed:
            # An outage is no answer: the harness ends with it.
            os.write(2, f"{failed}\n".encode())
            account.closed.set()
            account.failed = str(failed)
            return 500, error(str(failed))

    def target(self, account, body):
        question = target_question(body["messages"])
        if not account.take(digest(json.dumps(question))):
            return 402, error("the budget of target calls is used up", "budget_exhausted")
        text, usage = self.upstream.ask(question)
        account.spent(usage)
        return 200, completion("target", text, usage)

    def proposer(self, account, body):
        if account.closed.is_set():
            return 402, error("the budget of target calls is used up", "budget_exhausted")
        longest = body.get("max_completion_tokens") or body.get("max_tokens") or PROPOSER_TOKENS
        temperature = body.get("temperature")
        question = {
            "messages": plain(body["messages"]),
            "max_tokens": min(longest, PROPOSER_MOST),
            "temperature": TEMPERATURE if temperature is None else temperature,
        }
        question |= {name: body[name] for name in ("top_p", "stop") if body.get(name) is not None}
        before = account.proposed(digest(json.dumps(question)))
        if question["temperature"] > 0:
            question["seed"] = int(digest(account.seed, before, json.dumps(question))[:8], 16)
        text, usage = self.upstream.ask(question)
        account.wrote(usage)
        return 200, completion("proposer", text, usage)

    def test(self, messages):
        """What the target replies, without an account."""
        try:
            return self.upstream.ask(target_question(messages))[0]
        except Refused:
            return ""


def target_question(messages):
    return {"messages": plain(messages), "max_tokens": TARGET_TOKENS, "temperature": 0}


def error(message, code="gateway"):
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def completion(model, text, usage):
    # A reply that is cut off after so many tokens is a whole one here, for all methods alike.
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"id": "0", "object": "chat.completion", "created": 0, "model": model, "choices": [choice], "usage": usage}
