"""The executor as it is, but for its end: SIGKILL by its own hand, before or after its n-th write to the API server."""

import os
import signal
import sys

from mlconsole.cluster.connection import Connection
from mlconsole.engine.execution.__main__ import main

QUESTIONS = ("authorization.k8s.io", "authentication.k8s.io")
"""What is created there is an answer, not an object."""
exchange = Connection.exchange
tally_file = os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
seen = 0


async def mortal(self, method, path, body=None, content_type="application/json", params=None, *more, **named):
    """One request; a write is counted, and the last one is the one named on the command line."""
    global seen
    number, when = int(sys.argv[1]), sys.argv[2]
    writes = method != "GET" and "/proxy/" not in path and not any(name in path for name in QUESTIONS)
    writes = writes and (params or {}).get("dryRun") is None
    seen += writes
    if writes:
        os.write(tally_file, f"{method} {path}\n".encode())
    last = writes and seen == number
    if last and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    answer = await exchange(self, method, path, body, content_type, params, *more, **named)
    if last:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer


if __name__ == "__main__":
    Connection.exchange = mortal
    sys.exit(main())
