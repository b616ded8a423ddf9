"""Where the load goes, and what may be read beside it."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from harness.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint.

    Attributes:
        url: REST's base (``http://host:port``, a path is kept as a prefix) or gRPC's address.
        launcher_url: the launcher of the one server behind it, scraped during the run.
        embedded: the server is the harness's own on this machine: never evidence.
        host: the name that the requests carry, where it is not the URL's own.
    """

    url: str
    launcher_url: str | None = None
    embedded: bool = False
    host: str | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UsageError(
                f"{self.url!r} is not a target", hint="give a URL such as http://127.0.0.1:8080"
            )
        if parts.username or parts.password:
            raise UsageError(
                "a target's URL must not hold credentials", hint="use the profile's `auth`"
            )
