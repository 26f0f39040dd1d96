"""A TCP proxy that can be cut: what is under way stops dead, without a word to either side."""

import asyncio
import threading


class Proxy:
    """Passes bytes between its own port and another; `cut` swallows them, as a network does that has gone."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.port = 0
        self._open = True
        self._ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True).start()
        self._ready.wait(10)

    def cut(self) -> None:
        self._open = False

    def heal(self) -> None:
        self._open = True

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await asyncio.Event().wait()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._pass(reader, there_writer), self._pass(there_reader, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if self._open:
                    writer.write(data)
                    await writer.drain()
                # Half of a stream that was cut is of no use to anybody: it stays cut.
                else:
                    await self._swallow(reader)
                    return
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _swallow(self, reader: asyncio.StreamReader) -> None:
        while not self._open:
            try:
                if not await asyncio.wait_for(reader.read(65536), 0.2):
                    return
            except asyncio.TimeoutError:
                continue
