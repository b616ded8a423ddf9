"""The nightly question: does a cluster run what main says?"""

import subprocess
from pathlib import Path

import pytest

from harness.cli import main
from harness.core.errors import UsageError
from harness.core.repository import Repository
from harness.kubernetes import drift
from harness.kubernetes.status import ClusterStatus, Row

_READY = Row("Kustomization", "policies", "ready", "main@0123456789ab", 90, "")
_SUSPENDED = Row("HelmRelease", "torchserve", "suspended", "", 0, "")
_RELEASE = "kind: GitRepository\nmetadata: {{name: release}}\nspec: {{ref: {{{}: {}}}}}\n"


def _git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=someone", "-c", "user.email=someone@example.com")
    argv = ["git", *who, *words]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=True).stdout


def _commit(repository: Repository, ref: str, value: str) -> str:
    path = repository.root / "clusters/staging/release.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_RELEASE.format(ref, value))
    _git(repository.root, "add", "clusters")
    _git(repository.root, "commit", "--quiet", f"--message={value}")
    return _git(repository.root, "rev-parse", "HEAD").strip()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    _git(tmp_path, "init", "--quiet", "--initial-branch=main")
    return Repository(tmp_path)


def _differences(repository: Repository, root: str, release: str, *rows: Row) -> list[str]:
    screen = ClusterStatus("v1.36.3", root, release, pinned=False, behind=0, rows=(_READY, *rows))
    return list(drift.differences(screen, repository, "staging", "main"))


def test_what_follows_main_is_at_main(repository: Repository) -> None:
    commit = _commit(repository, "branch", "main")
    assert _differences(repository, commit, commit) == []


def test_what_is_pinned_runs_the_pin_and_not_main(repository: Repository) -> None:
    first = _commit(repository, "branch", "main")
    commit = _commit(repository, "commit", first)
    assert _differences(repository, commit, first) == []
    assert _differences(repository, commit, commit) == [
        f"runs {commit[:12]}, and main pins {first[:12]}"
    ]


def test_a_cluster_that_stopped_following_is_told(repository: Repository) -> None:
    first = _commit(repository, "branch", "main")
    commit = _commit(repository, "tag", "v1")
    assert _differences(repository, first, first) == [
        f"follows {first[:12]}, and main is at {commit[:12]}",
        f"runs {first[:12]}, and main pins {commit[:12]}",
    ]
    assert _differences(repository, "", commit)[0].startswith("follows nothing")


def test_what_somebody_suspended_is_told(repository: Repository) -> None:
    commit = _commit(repository, "branch", "main")
    assert _differences(repository, commit, commit, _SUSPENDED) == [
        "HelmRelease/torchserve is suspended"
    ]


def test_a_commit_that_is_not_here_judges_nothing(repository: Repository) -> None:
    _commit(repository, "branch", "main")
    with pytest.raises(UsageError, match="not in this clone"):
        list(
            drift.differences(
                ClusterStatus("", "", "", False, None, ()), repository, "staging", "--all"
            )
        )


def test_every_environment_needs_a_context_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: other\n"
        "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n"
        "users: [{name: u, user: {}}]\n"
        "contexts: [{name: other, context: {cluster: c, user: u}}]\n"
    )
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    assert main(["status", "--all"]) == 2
    assert "none of local, production, staging is a context" in capsys.readouterr().err
