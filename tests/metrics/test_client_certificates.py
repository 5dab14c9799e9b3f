"""A server that wants to see a certificate: over TLS, with a CA of its own."""

import asyncio
import datetime
import ipaddress
import ssl

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mlconsole.config import Auth
from mlconsole.metrics.prometheus import Endpoint, Question, ask

from .conftest import vector

PLAIN = serialization.NoEncryption()


def made(folder, name, issuer=None):
    """A key and a certificate, signed by `issuer` or by itself: (key, certificate), and their files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[1].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), True)
        .sign(issuer[0] if issuer else key, hashes.SHA256())
    )
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(pem(key))
    return key, certificate


def pem(key, encryption=PLAIN):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


@pytest.fixture
async def secured(tmp_path):
    """`(ask with these settings, folder)`; the folder has ca, server, client and stranger, each .crt and .key."""
    authority = made(tmp_path, "ca")
    made(tmp_path, "server", authority)
    key, _ = made(tmp_path, "client", authority)
    made(tmp_path, "stranger")
    both = (tmp_path / "client.crt").read_bytes() + (tmp_path / "client.key").read_bytes()
    (tmp_path / "both.pem").write_bytes(both)
    (tmp_path / "locked.key").write_bytes(pem(key, serialization.BestAvailableEncryption(b"x")))

    async def answer(request):
        shown = request.transport.get_extra_info("peercert")
        return web.json_response(vector(({"name": shown["subject"][0][0][1]}, 1)))

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / "ca.crt")
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    context.verify_mode = ssl.CERT_REQUIRED
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}"

    async def asking(**auth):
        files = {key: str(tmp_path / name) for key, name in auth.items()}
        endpoint = Endpoint(url, Auth(ca_file=str(tmp_path / "ca.crt"), **files), 30.0)
        return (await asyncio.to_thread(ask, endpoint, [Question("up")]))[0]

    yield asking
    await runner.cleanup()


@pytest.mark.parametrize("files", [{"cert_file": "client.crt", "key_file": "client.key"}, {"cert_file": "both.pem"}])
async def test_a_certificate_is_shown(secured, files):
    reply = await secured(**files)
    assert reply.failure is None
    assert reply.rows[0].labels == {"name": "client"}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, ""),
        ({"cert_file": "stranger.crt", "key_file": "stranger.key"}, ""),
        ({"cert_file": "client.crt", "key_file": "stranger.key"}, ""),
        ({"cert_file": "none.crt"}, "metrics.auth.cert_file: there is no file"),
        ({"cert_file": "client.crt", "key_file": "none.key"}, "metrics.auth.key_file: there is no file"),
        ({"cert_file": "client.crt", "key_file": "locked.key"}, "metrics.auth.key_file: the key in"),
    ],
)
async def test_without_the_right_one_there_is_no_answer_and_no_question_on_the_terminal(secured, files, words):
    reply = await asyncio.wait_for(secured(**files), 60)
    assert reply.failure.kind == "down"
    assert words in reply.failure.why
    assert reply.rows == ()
