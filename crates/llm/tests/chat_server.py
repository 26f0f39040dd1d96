"""A chat server for tests: OpenAI's chat and completion endpoints over HTTP/1.1, with faults on demand.

It answers a text with a function of that text. A message may hold directives, one word each:

    fault=NAME    what goes wrong (see FAULTS below)
    times=N       how often for this text; then it is answered (default: always)
    after=VALUE   a Retry-After header beside it (underscores stand for spaces)
    delay=S       seconds before the reply

GET /stats tells how many calls were inside at most, how often each text came, and when calls came. The
port is the first line of output; the server ends when its input is closed.
"""

import hashlib
import json
import os
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

lock = threading.Lock()
inside, peak = 0, 0
seen, came = {}, []


def directives(text):
    return dict(word.split("=", 1) for word in text.split() if "=" in word)


def fate(text):
    """The directives that hold for this coming of a text, and how often it has come."""
    with lock:
        seen[text] = count = seen.get(text, 0) + 1
    wanted = directives(text)
    if count > int(wanted.get("times", 1 << 30)):
        wanted.pop("fault", None)
        wanted.pop("after", None)
    return wanted


def reply_to(text, seed):
    return f"reply {hashlib.sha256(f'{text}|{seed}'.encode()).hexdigest()[:12]}"


def chat(body, fault):
    """The reply to a chat request; faults that are valid HTTP change it."""
    messages = body["messages"]
    text = messages[-1]["content"]
    content = reply_to(text, body.get("seed"))
    message = {"role": "assistant", "content": content, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    read = sum(len(m["content"]) // 4 + 4 for m in messages)
    reply = {
        "id": "chat-1",
        "object": "chat.completion",
        "model": body["model"],
        "choices": [choice],
        "usage": {"prompt_tokens": read, "completion_tokens": 6, "total_tokens": read + 6},
    }
    if fault in ("length", "content_filter"):
        choice["finish_reason"] = fault
    elif fault == "refusal":
        message.update(content=None, refusal="I cannot help with that")
    elif fault == "empty":
        message["content"] = " \n"
    elif fault == "no_choices":
        reply["choices"] = []
    elif fault == "no_usage":
        del reply["usage"]
    elif fault == "huge":
        message["content"] = "x" * (1 << 20)
    return reply


def tokens_of(text):
    """Words with the space before them."""
    start, out = 0, []
    for i, c in enumerate(text):
        if c == " " and i > start:
            out.append((start, text[start:i]))
            start = i
    return out + [(start, text[start:])]


def completions(body):
    """An echo of each prompt: a token's log-probability is minus its length."""
    choices = []
    for index, prompt in enumerate(body["prompt"]):
        tokens = tokens_of(prompt)
        logprobs = {
            "tokens": [t for _, t in tokens],
            "token_logprobs": [None] + [-float(len(t)) for _, t in tokens[1:]],
            "text_offset": [o for o, _ in tokens],
        }
        choices.append({"index": index, "text": prompt, "finish_reason": "length", "logprobs": logprobs})
    read = sum(len(c["logprobs"]["tokens"]) for c in choices)
    choices.reverse()
    usage = {"prompt_tokens": read, "completion_tokens": 0, "total_tokens": read}
    return {"object": "text_completion", "choices": choices, "usage": usage}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    inside = False
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def send(self, status, body, headers=(), length=None):
        """One write, so that head and body never wait for each other."""
        self.leave()
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = [f"HTTP/1.1 {status} X", "Content-Type: application/json"]
        head += [f"{k}: {v}" for k, v in headers]
        head.append(f"Content-Length: {len(data) if length is None else length}")
        self.wfile.write("\r\n".join(head).encode() + b"\r\n\r\n" + data)

    def do_GET(self):
        with lock:
            stats = json.dumps({"peak": peak, "seen": seen, "came": came}).encode()
        self.send(200, stats)

    def do_POST(self):
        global inside, peak
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with lock:
            self.inside = True
            inside += 1
            peak = max(peak, inside)
            came.append(time.monotonic())
        try:
            self.answer(body)
        finally:
            self.leave()

    def leave(self):
        """Before a reply goes out: the client may send its next call as soon as it has it."""
        global inside
        with lock:
            if self.inside:
                self.inside = False
                inside -= 1

    def answer(self, body):
        if self.path.split("?")[0].endswith("/chat/completions"):
            wanted = fate(body["messages"][-1]["content"])
            make = chat
        else:
            wanted = fate(body["prompt"][0])
            make = lambda body, _: completions(body)
        time.sleep(float(wanted.get("delay", 0)))
        fault = wanted.get("fault")
        if self.broken(fault, wanted):
            return
        self.send(200, make(body, fault))

    def broken(self, fault, wanted):
        """Faults of HTTP itself; true where one was made."""
        key = self.headers.get("Authorization", "")
        if fault and fault.isdigit():
            headers = [("Retry-After", wanted["after"].replace("_", " "))] if "after" in wanted else []
            headers += [("Location", "/v2/chat/completions")] if fault.startswith("3") else []
            self.send(int(fault), {"error": {"message": f"told to fail, {key}"}}, headers)
        elif fault == "hang":
            time.sleep(3600)
        elif fault == "cut":
            self.send(200, b'{"choices":[{"mess', length=500)
            self.drop()
        elif fault == "drop":
            self.drop()
        elif fault == "corrupt":
            self.send(200, b'{"choices":[{"message":{"content":"yes","finish_reason"')
        elif fault == "html":
            self.send(200, f"<html>{key}</html>".encode())
        elif fault == "echo_key":
            self.send(200, {"error": {"message": f"bad key {key}"}})
        else:
            return False
        return True

    def drop(self):
        self.leave()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, *_):
        pass


def main():
    server = Server(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    os._exit(0)


main()
