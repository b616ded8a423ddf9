"""The gateway is asked by the name that its certificate has to carry, at its own address."""

import datetime
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from harness.core.errors import HarnessError
from harness.loadtest.target import Target
from harness.smoke.gateway import post

HOST = "torchserve.example.com"


def certificate(folder: Path, name: str) -> Path:
    """A certificate of its own authority, and its key, in one file."""
    key, subject = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.datetime.now(datetime.UTC)
    certificate_object = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "tls.pem"
    path.write_bytes(certificate_object.public_bytes(pem) + private)
    return path


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        is_expected = (self.headers["Host"], self.path) == (HOST, "/predictions/m")
        self.send_response(401 if is_expected else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Target]]:
    """Starts a gateway with a certificate for a name, which this machine trusts."""
    started: list[ThreadingHTTPServer] = []

    def start(name: str) -> Target:
        path = certificate(tmp_path, name)
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return Target(f"https://127.0.0.1:{server.server_port}", host=HOST)

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def test_it_is_asked_by_its_name(gateway: Callable[[str], Target]) -> None:
    assert post(gateway(HOST), "/predictions/m", {}) == 401


def test_another_certificate_is_no_gateway_of_ours(gateway: Callable[[str], Target]) -> None:
    with pytest.raises(HarnessError, match=r"does not answer: .*doesn't match"):
        post(gateway("elsewhere.example.com"), "/predictions/m", {})


def test_a_gateway_out_of_reach_says_where_to_look() -> None:
    with pytest.raises(HarnessError, match="does not answer") as caught:
        post(Target("https://127.0.0.1:1", host=HOST), "/predictions/m", {})
    assert "get gateways,services" in caught.value.hint
