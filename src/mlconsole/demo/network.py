"""A private part of 127/8 for one world, so that several run side by side: pods and Services have addresses in it."""

from __future__ import annotations

import random
import socket

GUARD = 10249
"""The port on the first address that the world which owns a subnet listens on."""
TRIES = 200


class Subnet:
    """127.x.y.0/24, ours for as long as we hold its guard. Raises OSError when none is free."""

    def __init__(self) -> None:
        self._guard, self.prefix = _claim()
        self._pods = [f"{self.prefix}.{last}" for last in range(200, 9, -1)]
        self._services = [f"{self.prefix}.{last}" for last in range(250, 200, -1)]

    @property
    def first(self) -> str:
        """The world's own address."""
        return f"{self.prefix}.1"

    def take_pod(self) -> str:
        """An address for a pod. Raises OSError when all are in use."""
        if not self._pods:
            raise OSError("every address of the node is in use")
        return self._pods.pop()

    def take_service(self) -> str:
        """An address for a Service. Raises OSError when all are in use."""
        if not self._services:
            raise OSError("every Service address is in use")
        return self._services.pop()

    def give_back(self, address: str) -> None:
        """Free an address; it is used again as late as possible."""
        last = int(address.rpartition(".")[2])
        (self._pods if last <= 200 else self._services).insert(0, address)

    def close(self) -> None:
        """Let others have the subnet."""
        self._guard.close()


def _claim() -> tuple[socket.socket, str]:
    failure: OSError | None = None
    for _ in range(TRIES):
        prefix = f"127.{random.randrange(64, 250)}.{random.randrange(1, 250)}"
        guard = socket.socket()
        try:
            guard.bind((f"{prefix}.1", GUARD))
            guard.listen(1)
        except OSError as error:
            guard.close()
            failure = error
            continue
        return guard, prefix
    raise failure or OSError("no free part of 127/8")
