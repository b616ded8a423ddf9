"""An API server that a test fills with objects: discovery, get, list, create, apply, delete, evict.

It stands for the clusters that cannot be had on a machine of a developer; what a real API server
says to the same calls is seen in tests/e2e/test_smoke.py.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

Object = dict[str, Any]
_CLUSTER_WIDE = {"Node", "Namespace", "PersistentVolume"}
_VERSIONS = {
    "v1": [
        *("ConfigMap", "Event", "Node", "PersistentVolume", "PersistentVolumeClaim", "Pod"),
        "Secret",
    ],
    "apps/v1": ["DaemonSet", "Deployment", "ReplicaSet"],
    "batch/v1": ["Job"],
    "gateway.networking.k8s.io/v1": ["Gateway", "GRPCRoute", "HTTPRoute"],
    "helm.toolkit.fluxcd.io/v2": ["HelmRelease"],
    "kustomize.toolkit.fluxcd.io/v1": ["Kustomization"],
    "policy/v1": ["PodDisruptionBudget"],
    "source.toolkit.fluxcd.io/v1": ["GitRepository", "HelmRepository", "OCIRepository"],
}


def plural(kind: str) -> str:
    """What a kind is called in an address."""
    return f"{kind[:-1]}ies".lower() if kind.endswith("ry") else f"{kind}s".lower()


@dataclass
class State:
    """What the server holds; a test changes it as a cluster would change.

    ``forbidden`` are the pods that a budget protects; ``ran`` makes a created pod end.
    """

    objects: list[Object] = field(default_factory=list)
    forbidden: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)

    def add(self, *objects: Object) -> None:
        self.objects.extend(objects)

    def one(self, kind: str, name: str) -> Object:
        """The object that a test wants to change."""
        return next(
            each
            for each in self.objects
            if (each["kind"], each["metadata"]["name"]) == (kind, name)
        )

    def ran(self, pod: Object) -> None:
        """What becomes of a pod that is created."""
        pod["status"] = {"phase": "Pending"}

    def answer(
        self, method: str, path: str, query: dict[str, list[str]], body: Object | None
    ) -> tuple[int, object]:
        """Status and body."""
        self.calls.append(f"{method} {path}")
        if path == "/version":
            return 200, {"gitVersion": "v1.36.3"}
        words = path.strip("/").split("/")
        version = words[1] if words[0] == "api" else "/".join(words[1:3])
        rest = words[2:] if words[0] == "api" else words[3:]
        if version not in _VERSIONS:
            return 404, {"message": "the server could not find the requested resource"}
        if not rest:
            return 200, {"resources": [self._resource(kind) for kind in _VERSIONS[version]]}
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        kind = next(kind for kind in _VERSIONS[version] if plural(kind) == rest[0])
        return self._on(method, kind, namespace, rest[1:], query, body)

    def _resource(self, kind: str) -> Object:
        return {
            "name": plural(kind),
            "kind": kind,
            "namespaced": kind not in _CLUSTER_WIDE,
            "verbs": ["list"],
        }

    def _on(
        self,
        method: str,
        kind: str,
        namespace: str,
        rest: list[str],
        query: dict[str, list[str]],
        body: Object | None,
    ) -> tuple[int, object]:
        matches = [
            each
            for each in self.objects
            if each["kind"] == kind
            and namespace in ("", each["metadata"].get("namespace"))
            and _is_selected(each, query.get("labelSelector", [""])[0])
        ]
        if rest[1:] == ["eviction"]:
            assert query["dryRun"] == ["All"], "a smoke test may not evict anybody"
            blocked = rest[0] in self.forbidden
            message = "Cannot evict pod as it would violate the pod's disruption budget."
            return (429, {"message": message}) if blocked else (201, {})
        if rest[1:] == ["log"]:
            return 200, next(each["log"] for each in matches if each["metadata"]["name"] == rest[0])
        if method == "POST" and body is not None:
            names = [each["metadata"]["name"] for each in matches]
            if body["metadata"]["name"] in names:
                return 409, {"message": "already exists"}
            self.ran(body)
            self.objects.append(body)
            return 201, body
        if method == "PATCH" and body is not None:
            named = [each for each in matches if each["metadata"]["name"] == rest[0]]
            self.objects = [each for each in self.objects if each not in named] + [body]
            return 200, body
        if not rest:
            return 200, {"items": matches, "metadata": {"resourceVersion": "1"}}
        named = [each for each in matches if each["metadata"]["name"] == rest[0]]
        if not named:
            return 404, {"message": f"{kind} {rest[0]} not found"}
        if method == "DELETE":
            self.objects.remove(named[0])
        return 200, named[0]


def _is_selected(value: Object, selector: str) -> bool:
    labels = value["metadata"].get("labels", {})
    pairs = [each.partition("=") for each in selector.split(",") if each]
    return all(labels.get(name) == expected for name, _, expected in pairs)


@contextmanager
def serving(state: State, kubeconfig: Path) -> Iterator[None]:
    """Serve ``state`` while the block runs; ``kubeconfig`` leads there, as context ``staging``."""

    class Handler(BaseHTTPRequestHandler):
        def _reply(self) -> None:
            url = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or "null")
            status, answer = state.answer(
                self.command, unquote(url.path), parse_qs(url.query), body
            )
            text = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_DELETE = do_PATCH = _reply  # noqa: N815, RUF100  as the base class calls them

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "staging",
                    "contexts": [{"name": "staging", "context": {"cluster": "c", "user": "u"}}],
                    "clusters": [{"name": "c", "cluster": {"server": address}}],
                    "users": [{"name": "u", "user": {}}],
                }
            )
        )
        yield
        server.shutdown()
