"""Asks the gateway as users do: by its name, which its certificate has to carry, over TLS."""

import ipaddress
import socket
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from harness.core.errors import HarnessError
from harness.loadtest.target import Target

_CONNECT = 5  # seconds
_PATIENCE = urllib3.Timeout(connect=_CONNECT, read=30)


def post(endpoint: Target, path: str, headers: dict[str, str]) -> int:
    """The status of a POST, at the gateway's own address: DNS need not know it yet.

    Raises:
        HarnessError: nobody answers, or with another certificate.
    """
    names = {"Host": endpoint.host} if endpoint.host else {}
    pool = urllib3.connection_from_url(
        endpoint.url, timeout=_PATIENCE, retries=False, **_certificate(endpoint)
    )
    try:
        return pool.request("POST", path, body=b"smoke", headers={**names, **headers}).status
    except HTTPError as error:
        raise HarnessError(
            f"{endpoint.url} does not answer: {error}",
            hint="kubectl -n envoy-gateway-system get gateways,services,endpointslices",
        ) from error


def out_of_reach(gateway: str, api_server: str, seconds: float = _CONNECT) -> str:
    """Why an internal gateway cannot be judged from this machine; empty where it can be.

    A machine in the cluster's network finds the API server at a private address. Only for one
    outside, a gateway at private addresses that stays silent is no fault: a name that does not
    resolve, and a connection that is refused, are faults from anywhere.

    Args:
        gateway: its URL.
        api_server: the URL by which this machine reaches the API server.
        seconds: of silence, after which nobody will answer.
    """
    try:
        addresses = _addresses(gateway)
        if any(address.is_global for address in addresses) or not all(
            address.is_global for address in _addresses(api_server)
        ):
            return ""
        socket.create_connection(_host_and_port(gateway), timeout=seconds).close()
    except (ConnectionRefusedError, socket.gaierror):
        return ""
    except OSError:
        shown = ", ".join(sorted({str(address) for address in addresses}))
        return (
            f"the gateway's load balancer is internal ({shown}), and this machine is not in its "
            "network: run it there (the workflow `smoke`, a VPN), see docs/gateway.md"
        )
    return ""


def _addresses(url: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    found = socket.getaddrinfo(*_host_and_port(url), type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(str(address[0])) for *_, address in found]


def _host_and_port(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or {"http": 80}.get(parts.scheme, 443)


def _certificate(endpoint: Target) -> dict[str, str]:
    if not endpoint.url.startswith("https:") or not endpoint.host:
        return {}
    return {"server_hostname": endpoint.host, "assert_hostname": endpoint.host}
