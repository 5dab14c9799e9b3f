"""`python -m mlconsole` without the time to import it: a client, and a server that forks.

The client is what a test starts, in no time: it hands its arguments, environment, folder and standard streams to the
server, which has everything imported and forks a process that runs the command on them; the client ends as that does.
"""

import json
import os
import signal
import socket
import sys


def ask(address, arguments):
    """The client: how the command ended."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        socket.send_fds(server, [b"\0"], [0, 1, 2])
        orders = {"arguments": arguments, "environ": dict(os.environ), "folder": os.getcwd()}
        server.sendall(json.dumps(orders).encode())
        server.shutdown(socket.SHUT_WR)
        return int(server.makefile().read())


def serve(address):
    """The server, for as long as its standard input is open."""
    import importlib
    import pkgutil
    import select

    import mlconsole.commands
    from mlconsole.cli import main

    for module in pkgutil.iter_modules(mlconsole.commands.__path__, "mlconsole.commands."):
        importlib.import_module(module.name)
    importlib.import_module("mlconsole.cluster.kube").load()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(32)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.write(1, b"ready\n")
    while True:
        ready, _, _ = select.select([listener, 0], [], [])
        if 0 in ready:
            return
        client, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _attend(client, main)
        client.close()


def _attend(client, main):
    """Fork the command's process, and tell the client how it ended: 1 where nothing else is known."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        _, streams, _, _ = socket.recv_fds(client, 1, 3)
        orders = json.load(client.makefile())
        child = os.fork()
        if child == 0:
            _command(client, streams, orders, main)
        _, status = os.waitpid(child, 0)
        client.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    finally:
        os._exit(0)


def _command(client, streams, orders, main):
    code = 1
    try:
        client.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.environ.clear()
        os.environ.update(orders["environ"])
        os.chdir(orders["folder"])
        sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
        sys.argv[1:] = orders["arguments"]
        try:
            code = main()
        except SystemExit as ended:  # argparse's own
            code = ended.code
        sys.stdout.flush()
    finally:
        os._exit(int(code or 0))


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(sys.argv[2])
    else:
        sys.exit(ask(sys.argv[1], sys.argv[2:]))
