"""What the checks are run against: a real cluster, the one on this machine, the embedded server.

with target.find(repository, "staging", context="staging") as found:
    report = run.run(found, folder)

What a target lacks follows from its kind and from Git, never from how a check went.
"""

import contextlib
import functools
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness import embedded_server, tools
from harness.core import console
from harness.core.errors import HarnessError, UsageError
from harness.core.repository import FIRST_GROUP, Repository
from harness.core.values import Value, dig, mapping, text
from harness.kubernetes import api, kinds
from harness.kubernetes.api import Api
from harness.loadtest import reach
from harness.loadtest.gateway import KubernetesCluster, behind
from harness.loadtest.target import Release
from harness.local_cluster import connect, local
from harness.local_cluster.local import LocalCluster
from harness.render import digest
from harness.render.rendered import Environment
from harness.render.renderer import Renderer
from harness.smoke import expected, torchserve
from harness.smoke.check import Check, Need
from harness.smoke.expected import Expected
from harness.smoke.torchserve import Kubectl, TorchServe
from harness.snapshot import config

EMBEDDED = "embedded"
SERVERS = "app.kubernetes.io/name=torchserve,app.kubernetes.io/component=server"
_FAKE = "kwok.x-k8s.io/node"

_NO_CLUSTER = "the embedded server is not in a cluster"
_NO_POD = "no container runs in kwok's pods"
_LACKS_EMBEDDED: Mapping[Need, str] = {
    need: _NO_CLUSTER for need in Need if need is not Need.SERVER
}
_LACKS_LOCAL: Mapping[Need, str] = {need: _NO_POD for need in Need if need is not Need.CLUSTER}


@dataclass(frozen=True)
class Target:
    """What the checks are run against.

    Attributes:
        env: the environment.
        name: the context of the cluster, or ``embedded``.
        repository: the checkout.
        lacks: what it does not have, and why.
        release: what runs there according to Flux; None for the embedded server.
        expect: what should run there according to Git, by group.
        servers: those that run now.
        words: the values of the placeholders in the commands of checks.
    """

    env: str
    name: str
    repository: Repository
    lacks: Mapping[Need, str]
    release: Release | None
    expect: Callable[[], Mapping[str, Expected]]
    servers: Callable[[], list[TorchServe]]
    words: Mapping[str, str]
    cluster: "Cluster | None" = None

    @property
    def embedded(self) -> bool:
        return self.cluster is None

    @property
    def simulated(self) -> bool:
        """Return whether its nodes and pods are kwok's."""
        return self.lacks is _LACKS_LOCAL

    def missing(self, check: Check) -> str:
        """Why a check does not apply; empty where it does."""
        return next((self.lacks[need] for need in check.needs if need in self.lacks), "")

    def then(self, check: Check, reason: str = "") -> str:
        """The command to type when a check has failed, for the group that the reason names."""
        if self.embedded:
            return check.embedded.format_map(self.words)
        return check.then.format_map({**self.words, "group": self._group_in(reason)})

    def _group_in(self, reason: str) -> str:
        """The group that a text names first, by itself or by one of its pods."""
        groups: list[str] = []
        with contextlib.suppress(HarnessError):
            groups = sorted(self.expect(), reverse=True)  # of two that begin alike the longer first
        names = "|".join(map(re.escape, groups))
        named = re.search(rf"(?<![\w./-])({names})(?=[-:,\s]|$)", reason) if names else None
        return named[1] if named else FIRST_GROUP


@dataclass(frozen=True)
class Cluster:
    """A cluster, and the render of what it should hold.

    Attributes:
        gateway: the same cluster, as a load test sees it.
        rendered: the environment at the commit that Flux applied.
    """

    api: Api
    kubectl: Kubectl
    gateway: KubernetesCluster
    rendered: Callable[[], Environment] = field(repr=False)

    def pods(self) -> list[Value]:
        """The servers' pods, but for those that are on their way out."""
        pods = self.api.list_all(kinds.POD, expected.NAMESPACE, SERVERS)
        return [pod for pod in pods if not dig(pod, "metadata", "deletionTimestamp")]

    def servers(self) -> list[TorchServe]:
        """The servers in the pods that run."""
        running = [pod for pod in self.pods() if text(pod, "status", "phase") == "Running"]
        return [torchserve.in_pod(self.kubectl, pod) for pod in running]


@contextlib.contextmanager
def find(
    repository: Repository,
    env: str,
    *,
    context: str | None = None,
    embedded: bool = False,
    group: str | None = None,
) -> Iterator[Target]:
    """The target of an environment, for as long as the block runs.

    Args:
        checkout: where what should run is described.
        env: the environment.
        context: of KUBECONFIG; else the cluster that ``make cluster`` runs for ``env``, else
            KUBECONFIG's current context.
        embedded: start the embedded server instead.
        group: the one that the embedded server serves; by default the only one, or ``torchserve``.

    Raises:
        InputError: the embedded server cannot serve a model.
        HarnessError: there is no such cluster, or another environment's.
        UsageError: the call makes no sense.
    """
    repository.cluster(env)
    if embedded and context:
        raise UsageError("--embedded and --context are two targets", hint="give one of them")
    if group and not embedded:
        raise UsageError("--group needs --embedded", hint="a cluster is checked with every group")
    if embedded:
        with embedded_server.running(repository, env, group=group) as served:
            yield _embedded_target(repository, env, served)
        return
    cluster = None if context else local.find(repository, env)
    if cluster:
        yield on_this_machine(cluster)
    elif context is None and env == "local":
        hint = "`make cluster` starts one; --embedded checks TorchServe without; --context NAME"
        raise HarnessError("no local cluster runs", hint=hint)
    else:
        yield in_context(repository, env, context)


def on_this_machine(cluster: LocalCluster) -> Target:
    """The cluster that ``make cluster`` runs.

    Raises:
        HarnessError: it has ended, or Flux has applied nothing.
    """
    connect.require_alive(cluster)
    kubectl = Kubectl(_program(cluster.repository), kubeconfig=cluster.kubeconfig)

    def render_commit(commit: str) -> Environment:
        with tempfile.TemporaryDirectory() as scratch:
            tree = Repository(Path(scratch, "tree"))
            cluster.bare.export(commit, tree.root)
            tree.build.symlink_to(cluster.repository.build)
            return Renderer(tree).candidate(cluster.env)

    return _cluster(cluster.repository, cluster.env, cluster.api, kubectl, render_commit)


def in_context(repository: Repository, env: str, context: str | None) -> Target:
    """The cluster of a context of KUBECONFIG; of its current one by default.

    Raises:
        HarnessError: there is none, it does not answer, or Flux has applied nothing.
    """
    if context and shlex.quote(context) != context:
        raise UsageError(
            f"context {context!r} cannot be passed on to kubectl by way of a shell",
            hint="give it a simpler name: kubectl config rename-context",
        )
    kubectl = Kubectl(_program(repository), context=context)
    renderer = Renderer(repository)
    return _cluster(
        repository,
        env,
        api.connect(context=context),
        kubectl,
        lambda commit: renderer.at(env, commit),
    )


def _program(repository: Repository) -> Path:
    """kubectl of PATH, else the pinned one."""
    on_path = shutil.which("kubectl")
    return Path(on_path) if on_path else tools.find(repository, "kubectl")


def _embedded_target(repository: Repository, env: str, served: embedded_server.Server) -> Target:
    lock = repository.built_models / "lock.yaml"
    return Target(
        env=env,
        name=EMBEDDED,
        repository=repository,
        lacks=_LACKS_EMBEDDED,
        release=None,
        expect=lambda: {
            served.group: expected.by_snapshot(config.load(repository, env, lock, served.group))
        },
        servers=lambda: [torchserve.of_embedded_server(served)],
        words={"env": env, "folder": str(served.folder)},
    )


def _cluster(
    repository: Repository,
    env: str,
    api_client: Api,
    kubectl: Kubectl,
    render: Callable[[str], Environment],
) -> Target:
    render = functools.cache(render)
    connect.confirm(api_client, env)
    gateway = KubernetesCluster(
        lambda commit: _digest(render, commit), kubectl.kubeconfig, kubectl.context
    )
    release = gateway.release()
    if not release.commit:
        raise HarnessError("Flux has applied nothing yet", hint=f"harness status --env {env}")
    view = Cluster(api_client, kubectl, gateway, lambda: render(release.commit))
    context = f" --context {kubectl.context}" if kubectl.context else ""
    return Target(
        env=env,
        name=gateway.name,
        repository=repository,
        lacks=_lacks(view),
        release=release,
        expect=lambda: expected.by_render(view.rendered()),
        servers=view.servers,
        words={"env": env, "kubectl": str(kubectl), "at": f"--env {env}{context}"},
        cluster=view,
    )


def _digest(render: Callable[[str], Environment], commit: str) -> str | None:
    try:
        return digest.release_digest(render(commit))
    except HarnessError as error:
        console.note(f"no release digest, so the report is not evidence: {error}")
        return None


def _lacks(cluster: Cluster) -> Mapping[Need, str]:
    nodes = cluster.api.list_all(kinds.NODE)
    if nodes and all(_FAKE in mapping(node, "metadata", "annotations") for node in nodes):
        return _LACKS_LOCAL
    try:
        rendered = cluster.rendered()
        lacks = lacks_by_git(rendered)
    except HarnessError:  # the render is unknown: then every check applies
        return {}
    if expected.has_internal_gateway(rendered) and (why := _out_of_reach(cluster.gateway)):
        return {**lacks, Need.GATEWAY: why}
    return lacks


def _out_of_reach(cluster: KubernetesCluster) -> str:
    try:
        gateway = behind(cluster, "rest")
    except HarnessError:  # no route, no address: the check itself finds that
        return ""
    return reach.out_of_reach(gateway.url, cluster.api_server)


def lacks_by_git(rendered: Environment) -> Mapping[Need, str]:
    """What an environment does without on purpose, and in words.

    Raises:
        HarnessError: it cannot be rendered whole.
    """
    has = {
        Need.GPU: (expected.gpus(rendered) > 0, "its pods ask for no GPU"),
        Need.EFS: (expected.has_efs(rendered), "its model store is not on EFS"),
        Need.GATEWAY: (expected.has_gateway(rendered), "it has no gateway"),
    }
    return {need: why for need, (present, why) in has.items() if not present}
