"""A Maven repository on loopback, which a test holds in hand."""

import contextlib
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Mirror:
    """Serves ``files`` by path. ``requests`` has what was asked for, credentials with it."""

    def __init__(self, scheme: str, port: int) -> None:
        self.address = f"{scheme}://127.0.0.1:{port}/maven2"
        self.files: dict[str, bytes] = {}
        self.cut_short: set[str] = set()
        self.requests: list[tuple[str, str | None]] = []
        self.hold = threading.Event()
        self.hold.set()

    def add(self, coordinates: str, content: bytes) -> str:
        """A library's file; returns its path in the repository."""
        group, artifact, version, *classifier = coordinates.split(":")
        name = "-".join((artifact, version, *classifier))
        path = f"{group.replace('.', '/')}/{artifact}/{version}/{name}.jar"
        self.files[path] = content
        return path


@contextlib.contextmanager
def serving(certificate: Path | None = None) -> Iterator[Mirror]:
    """A mirror for a while, over HTTPS with the certificate and key in a PEM file."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            mirror.requests.append((self.path, self.headers.get("Authorization")))
            path = self.path.partition("/maven2/")[2]
            mirror.hold.wait(30)
            content = mirror.files.get(path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            body = content or b""
            self.wfile.write(body[: len(body) // 2] if path in mirror.cut_short else body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        mirror = Mirror("https" if certificate else "http", server.server_port)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield mirror
        finally:
            mirror.hold.set()
            server.shutdown()
