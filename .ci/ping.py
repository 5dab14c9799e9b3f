"""Exit 0 when a Docker Engine answers on a Unix socket: `ping.py SOCKET`."""

import http.client
import socket
import sys


class Local(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def connect(self) -> None:
        """Connect to the path that stands in for the host."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(2)
        self.sock.connect(self.host)


try:
    connection = Local(sys.argv[1])
    connection.request("GET", "/_ping", headers={"Host": "docker"})
    sys.exit(0 if connection.getresponse().read() == b"OK" else 1)
except OSError:
    sys.exit(1)
