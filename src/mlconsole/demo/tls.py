"""TLS before the world's API server: kubectl sends a bearer token over nothing else.

A certificate of its own per world, made in memory, written once into the private folder because ssl reads files only.
"""

from __future__ import annotations

import asyncio
import base64
import datetime
import ipaddress
import ssl
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mlconsole.demo.proxy import copy_stream

DAYS = 30


class Front:
    """Listens with TLS on loopback and forwards to the server's own port."""

    def __init__(self, host: str, port: int, folder: Path) -> None:
        self._target = (host, port)
        self._certificate, self._context = _certificate(host, folder)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.url = ""

    async def start(self) -> None:
        """Listen. Raises OSError."""
        self._server = await asyncio.start_server(self._serve, self._target[0], 0, ssl=self._context)
        self.url = f"https://{self._target[0]}:{self._server.sockets[0].getsockname()[1]}"

    def kubeconfig(self, plain: str) -> str:
        """The server's kubeconfig, through here."""
        config: dict[str, Any] = yaml.safe_load(plain)
        authority = base64.b64encode(self._certificate).decode()
        config["clusters"][0]["cluster"] = {"server": self.url, "certificate-authority-data": authority}
        return yaml.safe_dump(config, sort_keys=False)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        backend: asyncio.StreamWriter | None = None
        try:
            back, backend = await asyncio.open_connection(*self._target)
            answers = asyncio.ensure_future(copy_stream(back, writer))
            # TLS cannot be closed by half: when either side has ended, both have.
            await asyncio.wait(
                (answers, asked := asyncio.ensure_future(copy_stream(reader, backend))),
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in (answers, asked):
                task.cancel()
            await asyncio.gather(answers, asked, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._writers.discard(writer)
            writer.close()
            if backend:
                backend.close()

    def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()


def _certificate(host: str, folder: Path) -> tuple[bytes, ssl.SSLContext]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mlconsole embedded world")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host)), x509.DNSName("localhost")])
    found = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate = found.public_bytes(serialization.Encoding.PEM)
    path = folder / "server.pem"
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    path.unlink()
    return certificate, context
