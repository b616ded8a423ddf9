"""Sends requests to the gateway as users do: by its name, which its certificate needs, over TLS."""

import urllib3
from urllib3.exceptions import HTTPError

from harness.core.errors import HarnessError
from harness.loadtest.target import Target

_TIMEOUT = urllib3.Timeout(connect=5, read=30)  # seconds


def post(endpoint: Target, path: str, headers: dict[str, str]) -> int:
    """The status of a POST, at the gateway's own address: DNS need not know it yet.

    Raises:
        HarnessError: it does not answer, or with another certificate.
    """
    names = {"Host": endpoint.host} if endpoint.host else {}
    pool = urllib3.connection_from_url(
        endpoint.url, timeout=_TIMEOUT, retries=False, **_certificate(endpoint)
    )
    try:
        return pool.request("POST", path, body=b"smoke", headers={**names, **headers}).status
    except HTTPError as error:
        raise HarnessError(
            f"{endpoint.url} does not answer: {error}",
            hint="kubectl -n envoy-gateway-system get gateways,services,endpointslices",
        ) from error


def _certificate(endpoint: Target) -> dict[str, str]:
    if not endpoint.url.startswith("https:") or not endpoint.host:
        return {}
    return {"server_hostname": endpoint.host, "assert_hostname": endpoint.host}
