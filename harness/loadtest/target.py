"""Where the load goes, and what else may be read of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from pydantic import BaseModel

from harness.core.errors import UsageError
from harness.loadtest import scrape


class Release(BaseModel):
    """What runs on the target, by Flux's objects.

    Attributes:
        commit: of the revision that was applied last.
        digest: of the rendered objects, if it is known.
        helm: the Helm release's revision, chart version and configuration digest; with several
            groups those of each, by its name.
        pods: the templates and restarts of the pods that serve: a rollout shows first in them.
    """

    commit: str
    digest: str | None = None
    helm: str
    pods: str


class Cluster(Protocol):
    """The cluster behind a Gateway; see ``harness.loadtest.gateway``."""

    name: str

    def release(self) -> Release: ...
    def metrics(self) -> scrape.Reading: ...


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint.

    Attributes:
        url: REST's base (a path is kept as a prefix), or gRPC's address as ``http://host:port``.
        launcher_url: the launcher of the one server behind it, scraped during the run.
        embedded: the server is the harness's own on this machine: never evidence.
        host: the name that the requests carry, if it is not the URL's own.
        grpc_hosts: the name for a model's gRPC requests, where it differs from ``host``.
        cluster: what a Gateway stands in; None for a URL alone.
        serves: what an embedded server was started from, if that is a commit.
    """

    url: str
    launcher_url: str | None = None
    embedded: bool = False
    host: str | None = None
    grpc_hosts: Mapping[str, str] = field(default_factory=dict)
    cluster: Cluster | None = None
    serves: Release | None = None

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

    def release(self) -> Release | None:
        """What runs on it, or None if only a URL is known."""
        return self.cluster.release() if self.cluster else self.serves

    def metrics(self) -> scrape.Source | None:
        """Where the server's own figures come from, if anywhere."""
        if self.cluster:
            return self.cluster.metrics
        return scrape.url_source(self.launcher_url) if self.launcher_url else None
