"""The Kubernetes API as plain objects: get, apply, watch until a condition holds.

    cluster = api.connect(kubeconfig)
    cluster.wait_for(kinds.DEPLOYMENT, lambda deployments: ..., namespace="torchserve", seconds=30)

The kinds are discovered from the server itself.
"""

import datetime
import email.utils
import json
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

import yaml
from kubernetes import config

from harness.core.errors import HarnessError
from harness.core.values import Value, items, mapping, text
from harness.kubernetes import kubeconfig
from harness.kubernetes.transport import (
    FAULTS,
    RETRY_PAUSE,
    ApiError,
    Transport,
    UnreachableError,
    lines,
)
from harness.loadtest import port_forward

FIELD_MANAGER = "harness"
_MERGE = "application/merge-patch+json"
_APPLY = "application/apply-patch+yaml"
_WATCH_SECONDS = 20  # after which a watch is opened again: the longest that a lost one can cost

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object, such as ``Kind("apps/v1", "Deployment")``."""

    api_version: str
    name: str


@dataclass
class Api:
    """One cluster, by way of one kubeconfig."""

    _transport: Transport
    _paths: dict[Kind, tuple[str, bool]] = field(default_factory=dict)

    def get(self, kind: Kind, name: str, namespace: str = "") -> Value | None:
        """Return the object, or None if it does not exist."""
        try:
            return self._transport.ask("GET", self._path(kind, namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list_all(self, kind: Kind, namespace: str = "", labels: str = "") -> list[Value]:
        """Every object of the kind, of one namespace or of all."""
        return self._list_versioned(kind, namespace, labels)[0]

    def apply(self, value: Value, *, dry_run: bool = False, manager: str = FIELD_MANAGER) -> Value:
        """Server-side apply, taking over the fields that another manager holds.

        Raises:
            ApiError: admission, validation or the lack of the kind refused it.
        """
        metadata = mapping(value, "metadata")
        path = self._path(_kind(value), text(metadata, "namespace"), text(metadata, "name"))
        query = {"fieldManager": manager, "force": "true", "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        return self._transport.ask("PATCH", path, value, query, _APPLY)

    def patch(
        self,
        kind: Kind,
        name: str,
        change: Value,
        namespace: str = "",
        *,
        part: str = "",
        manager: str = "kubectl-edit",
    ) -> Value:
        """A JSON merge patch; ``part`` is a subresource such as ``scale`` or ``status``."""
        path = self._path(kind, namespace, name) + (f"/{part}" if part else "")
        return self._transport.ask("PATCH", path, change, {"fieldManager": manager}, _MERGE)

    def create(self, value: Value, *, dry_run: bool = False) -> Value:
        """Create an object, or ask whether it might be.

        Raises:
            ApiError: it was refused, or already exists.
        """
        path = self._path(_kind(value), text(value, "metadata", "namespace"))
        return self._transport.ask("POST", path, value, {"dryRun": "All"} if dry_run else None)

    def evict(self, name: str, namespace: str, *, dry_run: bool = False) -> None:
        """Ask for a pod to go, as a drain does, or whether it might: disruption budgets decide.

        Raises:
            ApiError: 429 where a budget forbids it.
        """
        metadata = {"name": name, "namespace": namespace}
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        path = f"{_pod(namespace, name)}/eviction"
        self._transport.ask("POST", path, body, {"dryRun": "All"} if dry_run else None)

    def log(self, name: str, namespace: str) -> str:
        """What the containers of a pod have written."""
        with self._transport.open("GET", f"{_pod(namespace, name)}/log") as response:
            return response.read().decode(errors="replace")

    def forward(self, namespace: str, pod: str, port: int, path: str, *, seconds: float) -> str:
        """The text at ``path`` of a port in a pod, as `kubectl port-forward` reaches it.

        Raises:
            RefusedError: the caller may not, or there is no such pod.
            HarnessError: nothing answers there.
        """
        settings = self._transport.client.configuration
        return port_forward.get(settings, namespace, pod, port, path, seconds=seconds)

    def delete(
        self, kind: Kind, name: str, namespace: str = "", *, seconds: int | None = None
    ) -> None:
        """Delete an object and what it owns; a missing one is not an error.

        ``seconds`` is the grace period of a pod, its own by default.
        """
        # By default a Job, alone among the kinds, leaves its pods behind.
        query = {"propagationPolicy": "Background"}
        if seconds is not None:
            query["gracePeriodSeconds"] = str(seconds)
        try:
            self._transport.ask("DELETE", self._path(kind, namespace, name), query=query)
        except ApiError as error:
            if error.status != 404:
                raise

    def reconcile(
        self, kind: Kind, name: str, namespace: str = "flux-system", *, token: str = ""
    ) -> None:
        """Ask Flux to reconcile now, as ``flux reconcile`` does.

        ``token`` comes back in the object's status once it has been handled.
        """
        requested = {"reconcile.fluxcd.io/requestedAt": token or str(time.time())}
        change = {"metadata": {"annotations": requested}}
        # Not as kubectl: kustomize-controller takes away what that has written, read or not.
        self.patch(kind, name, change, namespace, manager="flux")

    def wait_for(
        self,
        kind: Kind,
        condition: Callable[[list[Value]], Answer | None],
        *,
        seconds: float,
        namespace: str = "",
        labels: str = "",
        what: str = "",
    ) -> Answer:
        """Watch objects until ``condition``, called with all of them, returns a true value.

        The watch goes on through restarts of the API server.

        Raises:
            HarnessError: timed out after ``seconds``.
        """
        deadline = time.monotonic() + seconds
        objects: list[Value] = []
        while time.monotonic() < deadline:
            try:
                for objects in self._states(kind, namespace, labels, deadline):
                    if value := condition(objects):
                        return value
            except (*FAULTS, UnreachableError, ApiError) as error:
                if isinstance(error, ApiError) and error.status in (400, 403, 422):
                    raise
                time.sleep(RETRY_PAUSE)
        late = f"timed out after {seconds:g} s waiting for {what or kind.name}"
        raise HarnessError(f"{late}\n{_summary(objects)}")

    def wait_until_gone(
        self, removed: Collection[tuple[Kind, str, str]], *, seconds: float
    ) -> None:
        """Wait until none of some objects, by kind, name and namespace, exists any more.

        Raises:
            HarnessError: one still existed after ``seconds``.
        """
        for kind in {kind for kind, _, _ in removed}:

            def is_gone(objects: list[Value], kind: Kind = kind) -> bool:
                metadata = [mapping(each, "metadata") for each in objects]
                existing = {(kind, text(x, "name"), text(x, "namespace")) for x in metadata}
                return existing.isdisjoint(removed)

            self.wait_for(kind, is_gone, seconds=seconds, what=f"the deletion of every {kind.name}")

    def version(self) -> str:
        """The API server's version, such as ``v1.36.3``."""
        return text(self._transport.ask("GET", "/version"), "gitVersion")

    def now(self) -> datetime.datetime:
        """The time by the API server's clock, to the second."""
        with self._transport.open("GET", "/version") as response:
            response.read()
            return email.utils.parsedate_to_datetime(response.headers["Date"])

    def kinds(self) -> list[Kind]:
        """Return every kind that the server has."""
        groups = [("v1", "/api/v1")]
        for group in items(self._transport.ask("GET", "/apis"), "groups"):
            version = text(group, "preferredVersion", "groupVersion")
            groups.append((version, f"/apis/{version}"))
        return [
            Kind(version, text(each, "kind"))
            for version, path in groups
            for each in items(self._transport.ask("GET", path), "resources")
            if "/" not in text(each, "name") and "list" in items(each, "verbs")
        ]

    def _states(
        self, kind: Kind, namespace: str, labels: str, deadline: float
    ) -> Iterator[list[Value]]:
        """All objects as they are now, and again after each change."""
        objects, version = self._list_versioned(kind, namespace, labels)
        known = {_key(each): each for each in objects}
        yield objects
        seconds = max(1, min(_WATCH_SECONDS, int(deadline - time.monotonic())))
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": str(seconds)}
        if labels:
            query["labelSelector"] = labels
        with self._transport.open(
            "GET", self._path(kind, namespace), query=query, seconds=seconds + 2
        ) as response:
            for line in lines(response):
                event = cast("Value", json.loads(line))
                value = mapping(event, "object")
                if text(event, "type") == "ERROR":  # the version is too old: list again
                    return
                if text(event, "type") == "DELETED":
                    known.pop(_key(value), None)
                else:
                    known[_key(value)] = value
                yield list(known.values())

    def _list_versioned(self, kind: Kind, namespace: str, labels: str) -> tuple[list[Value], str]:
        query = {"labelSelector": labels} if labels else None
        response = self._transport.ask("GET", self._path(kind, namespace), query=query)
        type_meta = {"apiVersion": kind.api_version, "kind": kind.name}
        objects = [{**type_meta, **mapping(each)} for each in items(response, "items")]
        return cast("list[Value]", objects), text(response, "metadata", "resourceVersion")

    def _path(self, kind: Kind, namespace: str, name: str = "") -> str:
        if kind not in self._paths:
            self._paths[kind] = self._discover(kind)
        path, namespaced = self._paths[kind]
        root = (
            f"/apis/{kind.api_version}" if "/" in kind.api_version else f"/api/{kind.api_version}"
        )
        within = f"/namespaces/{namespace}" if namespaced and namespace else ""
        return f"{root}{within}/{path}" + (f"/{name}" if name else "")

    def _discover(self, kind: Kind) -> tuple[str, bool]:
        root = "/apis" if "/" in kind.api_version else "/api"
        response = self._transport.ask("GET", f"{root}/{kind.api_version}")
        for each in items(response, "resources"):
            if text(each, "kind") == kind.name and "/" not in text(each, "name"):
                return text(each, "name"), bool(mapping(each)["namespaced"])
        raise ApiError(404, {"message": "the server has no such kind"}, f"{kind}")


# Of a file that is none the client raises whatever it comes upon.
_NO_KUBECONFIG = (
    *(config.ConfigException, yaml.YAMLError, OSError),
    *(AttributeError, LookupError, TypeError, ValueError),
)


def connect(file: Path | None = None, context: str | None = None) -> Api:
    """The cluster of a kubeconfig; of KUBECONFIG or ~/.kube/config by default.

    Raises:
        HarnessError: there is no such file or context.
    """
    try:
        api_client = config.new_client_from_config(str(file or kubeconfig.files()), context)
    except _NO_KUBECONFIG as error:
        raise HarnessError(
            f"no cluster configured: {error}",
            hint="set KUBECONFIG, or start one on this machine: `make cluster`",
        ) from error
    return Api(Transport(api_client))


def _kind(value: Value) -> Kind:
    return Kind(text(value, "apiVersion"), text(value, "kind"))


def _pod(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods/{name}"


def _key(value: Value) -> str:
    return f"{text(value, 'metadata', 'namespace')}/{text(value, 'metadata', 'name')}"


def _summary(objects: list[Value]) -> str:
    """Return the last state, one line per object, with its conditions."""
    states, words = [], ("type", "status", "reason", "message")
    for each in objects[:20]:
        conditions = [
            " ".join(text(condition, name) for name in words)
            for condition in items(each, "status", "conditions")
        ]
        states.append(f"  {_key(each)}: {'; '.join(conditions)[:600]}")
    return "\n".join(states) or "  there is no such object"
