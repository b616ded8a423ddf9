"""Serves bare repositories over smart HTTP, the one protocol that source-controller speaks here.

    python -m harness.local_cluster.git_server build/cluster/local/git --port 23456

Git's own ``git http-backend`` answers; this hands it the requests. Fetching only: a push to a
local cluster goes straight into the bare repository.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from harness.core import http_server
from harness.core.http_server import Reply, Request

_SECONDS = 60  # a fetch of this repository takes less than one
_LARGEST = 1 << 24  # bytes of what somebody says to have and to want
_READ_ONLY = ("git-upload-pack", "/info/refs", "/HEAD", "/objects/")


class _Handler(http_server.Handler):
    folder = Path()

    def answer(self, request: Request) -> Reply:
        address = urlsplit(request.target)
        if address.path == "/healthz":
            return Reply(200, b"ok\n")
        if "git-receive-pack" in request.target or not any(
            part in request.target for part in _READ_ONLY
        ):
            return Reply(403, b"fetching only\n")
        completed = subprocess.run(
            ["git", "http-backend"],
            input=request.body(_LARGEST),
            capture_output=True,
            env={**os.environ, **self._environment(request, address.path, address.query)},
            timeout=_SECONDS,
            check=False,
        )
        head, _, payload = completed.stdout.partition(b"\r\n\r\n")
        lines = [line.partition(":") for line in head.decode("latin-1").splitlines()]
        headers = {name: value.strip() for name, _, value in lines if name}
        status = int(headers.pop("Status", "200").split()[0]) if headers else 500
        return Reply(status, payload or completed.stderr, headers)

    def _environment(self, request: Request, path: str, query: str) -> dict[str, str]:
        return {
            "GIT_PROJECT_ROOT": str(self.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
            "GIT_CONFIG_COUNT": "1",  # the repositories are ours, whoever runs this
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""),
            "REQUEST_METHOD": request.method,
            "CONTENT_TYPE": request.headers.get("content-type", ""),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REMOTE_ADDR": self.client_address[0],
        }


def main() -> int:
    """Serve a folder of bare repositories on loopback."""
    parser = argparse.ArgumentParser(prog="git_server", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args()
    _Handler.folder = args.folder.resolve()
    http_server.Server(("127.0.0.1", args.port), _Handler).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
