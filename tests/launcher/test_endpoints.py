"""The launcher's own pages: a request to them ends where it says."""

import re
import socket

import pytest

from harness.launcher import endpoints
from tests.support.processes import free_ports


@pytest.mark.parametrize("head", ["Content-Length: 32", "Transfer-Encoding: chunked"])
def test_what_is_in_a_body_is_no_request(head: str) -> None:
    (port,) = free_ports(1)
    endpoints.serve("127.0.0.1", port, {"/ready": lambda: (True, "")})
    inner = b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n"
    request = f"GET /ready HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        client.sendall(request + inner)
        client.shutdown(socket.SHUT_WR)
        content = b"".join(iter(lambda: client.recv(1 << 16), b""))
    assert re.findall(rb"HTTP/1\.1 (\d+)", content) == [b"200"]
