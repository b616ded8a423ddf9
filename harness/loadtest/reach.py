"""Whether a gateway with an internal load balancer can be reached from this machine."""

import ipaddress
import socket
from urllib.parse import urlsplit

_CONNECT = 5.0  # seconds


def out_of_reach(gateway: str, api_server: str, seconds: float = _CONNECT) -> str:
    """Why an internal gateway cannot be tested from this machine, or "" if it can.

    A machine in the cluster's network finds the API server at a private address. Only for one
    outside, a gateway at private addresses that stays silent is not a fault: a name that does not
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
        listed = ", ".join(sorted({str(address) for address in addresses}))
        return (
            f"the gateway's load balancer is internal ({listed}), and this machine is not in its "
            "network: run it there (the workflow, a VPN), see docs/gateway.md"
        )
    return ""


def _addresses(url: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    infos = socket.getaddrinfo(*_host_and_port(url), type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(str(address[0])) for *_, address in infos]


def _host_and_port(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or {"http": 80}.get(parts.scheme, 443)
