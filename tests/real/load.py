"""What is sent, and what became of it."""

import socket
import ssl
from dataclasses import dataclass

PATH = "/predictions/{}"
ENV = "local"  # whose models are known


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent.

    Attributes:
        address: where to.
        port: where to.
        rate: requests a second, evenly spread.
        seconds: at most so long.
        host: of the Host header, and of TLS where ``tls``.
        model: that answers with the SHA-256 of what it was sent, where ``known`` is empty.
        known: the file of its samples (harness.canary.known), which are sent in turn.
        client: ``http1``, ``http2`` or ``grpc``.
        tls: whether the connection is encrypted; nobody checks the certificate's name.
        most: requests in flight; one more is dropped, and counted.
        size: bytes of a body.
        upload: seconds over which a body is sent (HTTP/1.1).
        patience: seconds for an answer, from the moment when the request was due.
    """

    address: str
    port: int
    rate: float
    seconds: float
    host: str = "localhost"
    model: str = "echo"
    known: str = ""
    client: str = "http1"
    tls: bool = False
    most: int = 200
    size: int = 200
    upload: float = 0.0
    patience: float = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request.

    Attributes:
        due: when it was due, in Unix time.
        seconds: from then to the answer's last byte, or to the failure.
        outcome: ok, failed, wrong or dropped.
        detail: a status, an error, or what is wrong.
        model: that was asked.
    """

    due: float
    seconds: float
    outcome: str
    detail: str = ""
    model: str = ""


def tls_of(load: Load, protocol: str) -> ssl.SSLContext | None:
    """How a client of this protocol encrypts, if it does."""
    if not load.tls:
        return None
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    return context


def certificate_of(address: str, port: int, host: str) -> bytes:
    """The certificate (DER) that a new connection gets; it names the host, which picks it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((address, port), 10) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        return connection.getpeercert(binary_form=True) or b""
