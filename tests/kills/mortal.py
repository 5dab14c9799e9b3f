"""The executor as it is, but for its end: SIGKILL by its own hand, before or after its n-th write to the API server."""

import os
import signal

from mlconsole.cluster.connection import Connection

QUESTIONS = ("authorization.k8s.io", "authentication.k8s.io")
"""What is created there is an answer, not an object."""


def is_write(method, path, params):
    """Whether a request changes an object."""
    asks = method == "GET" or "/proxy/" in path or any(name in path for name in QUESTIONS)
    return not asks and (params or {}).get("dryRun") is None


def prepare(path, number, when):
    """Count this process's writes in a file, and end it before or after one of them; 0 for never."""
    exchange = Connection.exchange
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    seen = 0

    async def mortal(self, method, path, body=None, content_type="application/json", params=None, *more, **named):
        nonlocal seen
        last = False
        if is_write(method, path, params):
            seen += 1
            last = seen == number
            os.write(file, f"{method} {path}\n".encode())
        if last and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = await exchange(self, method, path, body, content_type, params, *more, **named)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    Connection.exchange = mortal
