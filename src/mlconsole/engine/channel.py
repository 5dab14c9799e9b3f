"""Frames over a socket pair: a length of four bytes, big-endian, then one message in msgpack.

Both ends are processes of one user on one machine, yet a frame is bounded and its type checked: a message that is none
of the expected is a bug to be seen, not to be guessed at.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Generic, TypeVar

import msgspec

from mlconsole.engine import protocol

FRAME_LIMIT = 32 * 2**20

Incoming = TypeVar("Incoming")
Outgoing = TypeVar("Outgoing")


class ChannelError(Exception):
    """The other end sent what no version of it should."""


class Channel(Generic[Incoming, Outgoing]):
    """One end of the pair. `send` is for one task at a time or many: frames never interleave."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, decoder: msgspec.msgpack.Decoder[Incoming]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = decoder
        self._encoder = msgspec.msgpack.Encoder()

    async def send(self, message: Outgoing) -> None:
        """Write one message and wait until the buffer has room. Raises ConnectionError when the other end is gone."""
        body = self._encoder.encode(message)
        self._writer.write(len(body).to_bytes(4, "big") + body)
        await self._writer.drain()

    async def receive(self) -> Incoming | None:
        """The next message, or None when the other end is gone. Raises ChannelError for a frame that is none."""
        try:
            size = int.from_bytes(await self._reader.readexactly(4), "big")
            if size > FRAME_LIMIT:
                raise ChannelError(f"a frame of {size} bytes is over the limit of {FRAME_LIMIT}")
            body = await self._reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        try:
            return self._decoder.decode(body)
        except msgspec.DecodeError as error:
            raise ChannelError(f"a frame that is no message: {error}") from error

    def close(self) -> None:
        """Close this end; the other one's `receive` then returns None."""
        self._writer.close()


async def ui_end(sock: socket.socket) -> Channel[protocol.Publication, protocol.Intent]:
    """The UI's end: sends intents, receives publications."""
    reader, writer = await asyncio.open_unix_connection(sock=sock)
    decoder = msgspec.msgpack.Decoder(protocol.Publication)
    return Channel(reader, writer, decoder)


async def engine_end(sock: socket.socket) -> Channel[protocol.Intent, protocol.Publication]:
    """The engine's end: sends publications, receives intents."""
    reader, writer = await asyncio.open_unix_connection(sock=sock)
    decoder = msgspec.msgpack.Decoder(protocol.Intent)
    return Channel(reader, writer, decoder)
