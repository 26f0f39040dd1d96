"""A chat server whose replies follow from the question alone, and that counts what it was asked.

It runs in this process, on a thread of its own: what it was asked is what was paid for.
"""

import asyncio
import hashlib
import json
import threading
from collections import Counter


class ModelServer:
    """OpenAI's /v1/chat/completions, as far as our client needs it."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self.delay = 0.02
        self.asked: Counter[str] = Counter()
        self.address = ""
        self._ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True).start()
        self._ready.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._talk, self.host, 0, backlog=1024)
        self.address = f"http://{self.host}:{server.sockets[0].getsockname()[1]}/v1"
        self._ready.set()
        await self._over.wait()
        server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                body = await reader.readexactly(length)
                reply = await self._reply(json.loads(body))
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(reply) + reply
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _reply(self, request: dict) -> bytes:
        question = request["messages"][-1]["content"]
        self.asked[question] += 1
        await asyncio.sleep(self.delay)
        letter = "AB"[hashlib.sha256(question.encode()).digest()[0] % 2]
        reply = {
            "id": "1",
            "object": "chat.completion",
            "model": request["model"],
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": letter}}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11},
        }
        return json.dumps(reply).encode()


if __name__ == "__main__":
    import sys
    import time

    server = ModelServer(sys.argv[1])
    print(server.address, flush=True)
    time.sleep(3600)
