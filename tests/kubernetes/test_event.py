"""An event is taken for what Flux announces only if the Alert in Git says so."""

import json
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cli import main
from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.kubernetes import event

_ALERT = "clusters/staging/flux-system/alert.yaml"
_PASSED = "Health check passed in 1m2.5s"
_TESTED = "Helm test succeeded for release torchserve/torchserve.v3 with chart torchserve@1.0.0"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, checkout: Repository) -> Repository:
    root = tmp_path_factory.mktemp("fork")
    (root / _ALERT).parent.mkdir(parents=True)
    (root / "models").mkdir()
    shutil.copyfile(checkout.root / _ALERT, root / _ALERT)
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "one"]):
        who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        subprocess.run(["git", *who, *words], cwd=root, check=True)
    return Repository(root)


@pytest.fixture(scope="module")
def commit(repository: Repository) -> str:
    argv = ["git", "rev-parse", "HEAD"]
    return subprocess.run(argv, cwd=repository.root, capture_output=True, text=True).stdout.strip()


def _event(commit: str, **changed: object) -> dict[str, object]:
    """What kustomize-controller says after a sync, by way of notification-controller."""
    return {
        "involvedObject": {
            "kind": "Kustomization",
            "namespace": "flux-system",
            "name": "torchserve",
            "uid": "d9a2c8f0-0000-4000-8000-000000000000",
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        },
        "severity": "info",
        "timestamp": "2026-11-26T05:00:00Z",
        "message": _PASSED,
        "reason": "Progressing",
        "metadata": {"environment": "staging", "revision": f"main@sha1:{commit}"},
        "reportingController": "kustomize-controller",
        **changed,
    }


def _subject(kind: str, name: str, namespace: str = "flux-system") -> dict[str, str]:
    return {"kind": kind, "name": name, "namespace": namespace}


def test_kustomization_names_the_commit(repository: Repository, commit: str) -> None:
    sync = event.read(json.dumps(_event(commit)), repository, "staging")
    assert (sync.applied_by, sync.commit) == ("Kustomization/torchserve", commit)


def test_helm_release_names_none(repository: Repository, commit: str) -> None:
    payload = _event(
        commit,
        involvedObject=_subject("HelmRelease", "torchserve"),
        message=_TESTED,
        metadata={"environment": "staging", "revision": "1.0.0+0123abcd"},
    )
    assert event.read(json.dumps(payload), repository, "staging").commit is None


def test_pinned_release_has_a_revision_without_a_branch(
    repository: Repository, commit: str
) -> None:
    payload = _event(commit, metadata={"environment": "staging", "revision": f"sha1:{commit}"})
    assert event.read(json.dumps(payload), repository, "staging").commit == commit


REFUSED = {
    "another kind": ({"involvedObject": _subject("GitRepository", "release")}, "the object"),
    "another release": ({"involvedObject": _subject("HelmRelease", "cert-manager")}, "the object"),
    "a name with markup": ({"involvedObject": _subject("Kustomization", "x\n::error::")}, "object"),
    "another namespace": (
        {"involvedObject": _subject("Kustomization", "torchserve", "default")},
        "the namespace",
    ),
    "an error": ({"severity": "error"}, "the severity"),
    "progress": ({"message": "Running. Health check passed"}, "the message"),
    "production's": ({"metadata": {"environment": "production"}}, "the environment"),
    "nobody's": ({"metadata": {}}, "the environment"),
    "no commit": ({"metadata": {"environment": "staging", "revision": "main"}}, "is not a commit"),
    "a commit of others": (
        {"metadata": {"environment": "staging", "revision": f"main@sha1:{'0' * 40}"}},
        "not in the history",
    ),
    "a command for a commit": (
        {"metadata": {"environment": "staging", "revision": "main@sha1:$(touch canary)"}},
        "is not a commit",
    ),
    "a number for a message": ({"message": 1}, "not an event of Flux: 'message'"),
}


@pytest.mark.parametrize(("changed", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_what_the_alert_does_not_announce_is_refused(
    repository: Repository, commit: str, changed: dict[str, object], why: str
) -> None:
    with pytest.raises(InputError, match=why):
        event.read(json.dumps(_event(commit, **changed)), repository, "staging")


def test_a_payload_that_is_too_large_is_not_read(repository: Repository, commit: str) -> None:
    with pytest.raises(InputError, match="larger than 64 KiB"):
        event.read(json.dumps(_event(commit, message="x" * 70_000)), repository, "staging")


@given(st.one_of(st.text(), st.recursive(st.none() | st.text(), st.lists).map(json.dumps)))
def test_no_payload_is_a_crash(repository: Repository, payload: str) -> None:
    with pytest.raises(InputError, match="not an event of Flux"):
        event.read(payload, repository, "staging")


@pytest.mark.parametrize(
    ("payload", "code"), [("", 2), ("{}", 1), ("\udcff", 1)], ids=["none", "empty", "not UTF-8"]
)
def test_command_reads_its_own_variable(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, payload: str, code: int
) -> None:
    monkeypatch.chdir(repository.root)
    monkeypatch.setenv("FLUX_EVENT", payload)
    assert main(["event", "--env", "staging"]) == code


def test_command_repeats_nothing_that_it_did_not_check(
    repository: Repository,
    commit: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    payload = _event(commit, reason="::error::x", message=f"{_PASSED}\n::add-mask::x")
    monkeypatch.chdir(repository.root)
    monkeypatch.setenv("FLUX_EVENT", json.dumps(payload))
    assert main(["event", "--env", "staging"]) == 0
    assert capfd.readouterr().out == f"staging: Kustomization/torchserve applied {commit}\n"
