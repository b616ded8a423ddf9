"""Flux: access to the cluster, the operator, the instance, and the first sync.

Everything created here is in Git too, under the same name: after the first sync Flux manages it.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from harness import tools
from harness.bootstrap import credential, release
from harness.bootstrap.installation import Installation
from harness.bootstrap.step import Inspection
from harness.core import command, console
from harness.core.errors import HarnessError
from harness.core.values import Value, dig, mapping, text
from harness.kubernetes import kinds, status
from harness.kubernetes.status import ClusterStatus, Row
from harness.kubernetes.transport import ApiError, UnreachableError

# kustomize-controller takes everything from kubectl that it finds in Git, and leaves it nothing.
_MANAGER = "kubectl"
_INSTALL_SECONDS = 900  # helm's own timeout is ten minutes
_ASK_SECONDS = 60
_OPERATOR = "flux-operator"
_DEPLOYED = "deployed"
_SOURCE = kinds.GIT_REPOSITORY.name


def inspect_access(installation: Installation) -> Inspection:
    """Check whether KUBECONFIG leads to the cluster, and the cluster answers."""
    context = installation.context
    if context is None:
        return Inspection(changes=("+ a context in KUBECONFIG, which holds no credential",))
    try:
        installation.cluster.list_all(kinds.NAMESPACE)
    except UnreachableError as error:
        cidr = installation.value("ADMIN_CIDR")
        return Inspection(
            (error.message,), manual=f"come from {cidr} (ADMIN_CIDR): it answers no other address"
        )
    except ApiError as error:
        if error.status not in (401, 403):
            raise
        admin = installation.value("ADMIN_ROLE_ARN")
        return Inspection(
            (error.message,), manual=f"assume {admin} (AWS_PROFILE): it accepts no other identity"
        )
    return Inspection((f"context {context}",))


def write_kubeconfig(installation: Installation, _: console.Update) -> None:
    """Have eksctl add the cluster to KUBECONFIG."""
    where = ("--cluster", installation.cluster_name, "--region", installation.aws.region)
    command.run(["eksctl", "utils", "write-kubeconfig", *where], timeout=_ASK_SECONDS)


def inspect_operator(installation: Installation) -> Inspection:
    """Check whether flux-operator is installed, in Git's version or kept there by Flux itself."""
    release, version = _release(installation), _version(installation)
    if release and _instance(installation):  # whatever its state: without it the instance goes too
        return Inspection(
            (f"{text(release, 'chart')} is {text(release, 'status')}, and Flux keeps it",)
        )
    if text(release, "status") == _DEPLOYED and text(release, "chart") == f"{_OPERATOR}-{version}":
        return Inspection((text(release, "chart"),))
    return Inspection(changes=(f"+ {_OPERATOR} {version}, by helm",))


def install_operator(installation: Installation, update: console.Update) -> None:
    """Install flux-operator with the names and the values that its HelmRelease has in Git.

    Raises:
        CommandError: helm failed; its last lines are in the text.
    """
    release = _release(installation)
    if release and text(release, "status") != _DEPLOYED:  # a helm that was killed left it pending
        _helm(installation, update, "uninstall", _OPERATOR, "--ignore-not-found")
    values = json.dumps(mapping(_in_git(installation, "helmrelease"), "spec", "values"))
    words = ("--version", _version(installation), "--create-namespace", "--values", "-")
    options = ("--rollback-on-failure", "--timeout", "10m")
    chart = text(_in_git(installation, "ocirepository"), "spec", "url")
    _helm(
        installation, update, "upgrade", "--install", _OPERATOR, chart, *words, *options,
        stdin=values,
    )  # fmt: skip


def inspect_instance(installation: Installation) -> Inspection:
    """Check whether the cluster has the FluxInstance that Git has."""
    expected = _in_git(installation, "fluxinstance")
    existing = _instance(installation)
    if existing and _covers(dig(existing, "spec"), dig(expected, "spec")):
        return Inspection((f"Flux {text(expected, 'spec', 'distribution', 'version')}",))
    return Inspection(changes=(f"{'~' if existing else '+'} FluxInstance flux, as main has it",))


def apply_instance(installation: Installation, _: console.Update) -> None:
    """Apply main's FluxInstance."""
    installation.cluster.apply(_in_git(installation, "fluxinstance"), manager=_MANAGER)


def inspect_sync(installation: Installation) -> Inspection:
    """Check whether everything that Flux applies is applied and Ready."""
    cluster_status = _cluster_status(installation)
    if cluster_status and cluster_status.ready:
        return Inspection(
            (f"main at {cluster_status.main[:12]}, {len(cluster_status.rows)} objects ready",)
        )
    rows = [row for row in cluster_status.rows if not _fine(row)] if cluster_status else []
    return Inspection(changes=tuple(f"~ {_line(row)}" for row in rows) or ("+ the first sync",))


def wait_for_sync(installation: Installation, update: console.Update) -> None:
    """Wait until Flux has applied everything and all of it is Ready.

    Raises:
        HarnessError: not within ``sync_seconds``, or the Git server refuses Flux for
            ``refused_seconds``; the text says what is not Ready, and why.
    """
    pace = installation.pace
    deadline, patience = pace.now() + installation.sync_seconds, 0.0
    while True:
        cluster_status = _cluster_status(installation)
        if cluster_status and cluster_status.ready:
            return
        rows = cluster_status.rows if cluster_status else ()
        open_ = [row for row in rows if not _fine(row)]
        update(f"{len(rows) - len(open_)} of {len(rows)} ready; {'; '.join(map(_line, open_[:2]))}")
        refused = [row for row in open_ if row.kind == _SOURCE and row.state == "not ready"]
        if not refused or not patience:
            patience = pace.now() + installation.refused_seconds
        elif pace.now() > patience:
            raise HarnessError(_line(refused[0]), hint=_credential(installation))
        if pace.now() > deadline:
            lines = "\n".join(f"  {_line(row)}" for row in open_)
            raise HarnessError(
                f"timed out after {installation.sync_seconds:g} s waiting for the sync\n{lines}",
                hint=f"harness status --context {installation.context}\n  → {installation.again}",
            )
        pace.sleep(pace.look)


def _cluster_status(installation: Installation) -> ClusterStatus | None:
    """Return what ``harness status`` shows, or None until the operator has installed Flux."""
    try:
        return status.collect(installation.cluster, installation.repository)
    except ApiError as error:
        if error.status == 404:
            return None
        raise


def _fine(row: Row) -> bool:
    return row.state in ("ready", "suspended")


def _line(row: Row) -> str:
    return f"{row.kind}/{row.name} is {row.state}: {row.why}"


def _credential(installation: Installation) -> str:
    where = f"-n {kinds.FLUX_NAMESPACE} {credential.NAME}"
    return (
        f"let the deploy key in ({installation.again} shows it), or give a token that may read: "
        f"kubectl --context {installation.context} delete secret {where}, then: "
        f"GIT_TOKEN=… {installation.again}"
    )


def _in_git(installation: Installation, name: str) -> Value:
    """An object of clusters/<env>/flux-system, as main has it."""
    path = f"clusters/{installation.env}/flux-system/{name}.yaml"
    return mapping(release.at_main(installation).documents(path)[0].value)


def _version(installation: Installation) -> str:
    return text(_in_git(installation, "ocirepository"), "spec", "ref", "tag")


def _instance(installation: Installation) -> Value | None:
    """Return the FluxInstance, or None if there is none, or no such kind."""
    try:
        return installation.cluster.get(kinds.FLUX_INSTANCE, "flux", kinds.FLUX_NAMESPACE)
    except ApiError as error:
        if error.status == 404:
            return None
        raise


def _release(installation: Installation) -> object:
    """Return the operator's release as helm lists it, or None if there is none."""
    words = ("list", "--filter", f"^{_OPERATOR}$", "--output", "json")
    output = command.run(_helm_command(installation, *words), timeout=_ASK_SECONDS).stdout
    return dig(json.loads(output), 0)


def _helm(installation: Installation, update: console.Update, *words: str, stdin: str = "") -> None:
    argv = _helm_command(installation, *words)
    command.stream(argv, timeout=_INSTALL_SECONDS, on_line=update, stdin=stdin)


def _helm_command(installation: Installation, *words: str) -> tuple[str | Path, ...]:
    program = tools.find(installation.repository, "helm")
    where = ("--namespace", kinds.FLUX_NAMESPACE, "--kube-context", installation.context or "")
    return (program, *words, *where)


def _covers(actual: object, expected: object) -> bool:
    """All that is wanted is found; the server adds defaults of its own."""
    if isinstance(expected, Mapping):
        return all(_covers(dig(actual, key), each) for key, each in expected.items())
    return actual == expected
