"""What arrives on a connection: a body up to a limit, a stream line by line, and a peer that is gone without a word."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any


async def read_body(response: Any, limit: int | None) -> bytes:
    """The body of an answer; at most `limit` bytes of it."""
    if limit is None:
        whole: bytes = await response.read()
        return whole
    parts, size = [], 0
    async for chunk in response.content.iter_any():
        parts.append(chunk)
        size += len(chunk)
        if size >= limit:
            break
    return b"".join(parts)[:limit]


async def lines(content: Any) -> AsyncIterator[bytes]:
    """Split what arrives into lines. A line may be cut anywhere, and be larger than any buffer."""
    pending: list[bytes] = []
    async for chunk in content.iter_any():
        first, *rest = chunk.split(b"\n")
        pending.append(first)
        if not rest:
            continue
        yield b"".join(pending)
        for line in rest[:-1]:
            yield line
        pending = [rest[-1]]
    last = b"".join(pending)
    if last:
        yield last


def keep_alive(response: Any) -> None:
    """Let the kernel notice a dead peer in half a minute: a watch sends nothing of its own."""
    transport = response.connection.transport if response.connection else None
    sock = transport.get_extra_info("socket") if transport else None
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
            option = getattr(socket, name, None)
            if option is not None:
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
