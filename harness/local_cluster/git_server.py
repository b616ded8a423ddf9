"""Serves bare repositories over smart HTTP, the one protocol that source-controller speaks here.

    python -m harness.local_cluster.git_server build/cluster/local/git --port 23456

Git's own ``git http-backend`` answers; this hands it the requests. Fetching only: a push to a
local cluster goes straight into the bare repository.
"""

import argparse
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

_SECONDS = 60  # a fetch of this repository takes less than one
_READ_ONLY = ("git-upload-pack", "/info/refs", "/HEAD", "/objects/")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder = Path()

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self._body())

    def _answer(self, body: bytes) -> None:
        address = urlsplit(self.path)
        if address.path == "/healthz":
            self._send(200, {"Content-Type": "text/plain"}, b"ok\n")
            return
        if "git-receive-pack" in self.path or not any(part in self.path for part in _READ_ONLY):
            self._send(403, {"Content-Type": "text/plain"}, b"fetching only\n")
            return
        completed = subprocess.run(
            ["git", "http-backend"],
            input=body,
            capture_output=True,
            env={**os.environ, **self._environment(address.path, address.query)},
            timeout=_SECONDS,
            check=False,
        )
        head, _, payload = completed.stdout.partition(b"\r\n\r\n")
        lines = [line.partition(":") for line in head.decode("latin-1").splitlines()]
        headers = {name: value.strip() for name, _, value in lines if name}
        status = int(headers.pop("Status", "200").split()[0]) if headers else 500
        self._send(status, headers, payload or completed.stderr)

    def _environment(self, path: str, query: str) -> dict[str, str]:
        return {
            "GIT_PROJECT_ROOT": str(self.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "GIT_CONFIG_COUNT": "1",  # the repositories are ours, whoever runs this
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REMOTE_ADDR": self.client_address[0],
        }

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> int:
    """Serve a folder of bare repositories on loopback."""
    parser = argparse.ArgumentParser(prog="git_server", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args()
    _Handler.folder = args.folder.resolve()
    ThreadingHTTPServer.daemon_threads = True
    ThreadingHTTPServer(("127.0.0.1", args.port), _Handler).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
