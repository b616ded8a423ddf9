"""Where the load goes, and what else may be read of it."""

from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from pydantic import BaseModel

from harness.core.errors import UsageError
from harness.loadtest import scrape
from harness.snapshot.routes import model_of


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
class ServingGroup:
    """A group behind an endpoint, and how its models' requests get there.

    Attributes:
        name: of the group.
        models: the names of those that get their requests there.
        url: its own address, where no gateway stands before the groups.
        grpc_host: the name that gRPC requests to it carry, where it has one of its own.
    """

    name: str
    models: frozenset[str]
    url: str | None = None
    grpc_host: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint.

    Attributes:
        url: REST's base (a path is kept as a prefix), or gRPC's address as ``http://host:port``.
        launcher_urls: the launchers of the servers behind it, scraped during the run.
        embedded: the servers are the harness's own on this machine: never evidence.
        host: the name that the requests carry, if it is not the URL's own.
        groups: what is known of those behind it; a request of none of them goes to ``url``.
        cluster: what a Gateway stands in; None for a URL alone.
        serves: what embedded servers were started from, if that is a commit.
    """

    url: str
    launcher_urls: tuple[str, ...] = ()
    embedded: bool = False
    host: str | None = None
    groups: tuple[ServingGroup, ...] = ()
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
        return scrape.urls_source(self.launcher_urls) if self.launcher_urls else None

    def group_of(self, path: str) -> ServingGroup | None:
        """The group that gets a request, as the gateway decides: by the model in its path."""
        model = model_of(path)
        return next((group for group in self.groups if model in group.models), None)
