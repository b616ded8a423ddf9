"""HTTP to a port of a pod by way of its kubelet, as `kubectl port-forward` does.

The kubelet's protocol (v4.channel.k8s.io) over the API server's WebSocket: each message begins with
its channel, 0 for data and 1 for errors, and the first of each channel is the port's number. The
kubernetes package has this as ``stream.portforward``, without a time limit and in a thread that
leaves its connection open.
"""

import http.client
import io
import ssl
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlsplit

from harness.core.errors import HarnessError

if TYPE_CHECKING:
    import socket

    from _typeshed import WriteableBuffer
    from kubernetes.client import Configuration
    from websocket import WebSocket

_PROTOCOL = "v4.channel.k8s.io"
_DATA, _ERROR = 0, 1
_SHOWN = 200  # characters of an error: a refused handshake brings its headers along


class RefusedError(HarnessError):
    """The API server does not forward: ``status`` is the HTTP code, 403 or 404 above all."""

    def __init__(self, message: str, status: int) -> None:
        self.status = status
        super().__init__(message)


def get(
    configuration: "Configuration",
    namespace: str,
    pod: str,
    port: int,
    path: str,
    *,
    seconds: float,
) -> str:
    """The text at ``path``; the caller has the right to create and get ``pods/portforward``.

    Args:
        configuration: of the client that reaches the API server.
        port: on the pod's loopback.
        seconds: for each packet of the API server.

    Raises:
        RefusedError: the API server refuses, or there is no such pod.
        HarnessError: nothing listens on the port, or it returns an error.
    """
    import websocket

    where = f"{namespace}/{pod}:{port}"
    url = (
        f"{configuration.host.replace('http', 'ws', 1)}/api/v1/namespaces/{quote(namespace)}"
        f"/pods/{quote(pod)}/portforward?ports={port}"
    )
    try:
        connection = websocket.create_connection(
            url, timeout=seconds, subprotocols=[_PROTOCOL], **_access(configuration)
        )
        try:
            return _exchange(connection, path)
        finally:
            # Not `close`: it leaves the socket open if the other side has closed first.
            connection.shutdown()  # type: ignore[no-untyped-call]
    except websocket.WebSocketBadStatusException as error:
        raise RefusedError(f"{where}: {str(error)[:_SHOWN]}", error.status_code) from error
    except (OSError, http.client.HTTPException, websocket.WebSocketException) as error:
        reason = str(error)[:_SHOWN] or type(error).__name__
        raise HarnessError(f"{where}: {reason}") from error


def _access(configuration: "Configuration") -> dict[str, Any]:
    """How the client reaches the API server, and its credentials."""
    token = configuration.auth_settings().get("BearerToken", {})
    options: dict[str, Any] = {
        "header": [f"{token['key']}: {token['value']}"] if token else [],
        "sslopt": {
            "cert_reqs": ssl.CERT_REQUIRED if configuration.verify_ssl else ssl.CERT_NONE,
            "check_hostname": configuration.verify_ssl,
            "ca_certs": configuration.ssl_ca_cert,
            "certfile": configuration.cert_file,
            "keyfile": configuration.key_file,
        },
    }
    if configuration.tls_server_name:
        options["sslopt"]["server_hostname"] = configuration.tls_server_name
    if configuration.proxy:
        proxy = urlsplit(configuration.proxy)
        options |= {
            "proxy_type": proxy.scheme,
            "http_proxy_host": proxy.hostname,
            "http_proxy_port": proxy.port,
        }
    return options


def _exchange(connection: "WebSocket", path: str) -> str:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    connection.send_binary(bytes([_DATA]) + request.encode())
    response = http.client.HTTPResponse(cast("socket.socket", _Socket(connection)))
    response.begin()
    text = response.read().decode("utf-8", "replace")
    if response.status != http.client.OK:
        raise http.client.HTTPException(f"HTTP {response.status} {response.reason}")
    return text


class _Socket(io.RawIOBase):
    """The data channel, as the socket that ``http.client`` reads a response from."""

    def __init__(self, connection: "WebSocket") -> None:
        self._connection = connection
        self._open_channels: set[int] = set()
        self._data = b""

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        while not self._data:
            message = self._connection.recv()
            if not isinstance(message, bytes) or not message:
                return 0  # the kubelet has closed the connection
            channel, data = message[0], message[1:]
            if channel not in self._open_channels:
                self._open_channels.add(channel)
            elif channel == _ERROR:
                raise ConnectionError(data.decode("utf-8", "replace"))
            else:
                self._data = data
        view = memoryview(buffer)
        chunk, self._data = self._data[: len(view)], self._data[len(view) :]
        view[: len(chunk)] = chunk
        return len(chunk)
