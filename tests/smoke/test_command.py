"""``harness smoke`` as a person types it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness import cli
from harness.core.repository import Repository
from tests.smoke.conftest import torchserve_here
from tests.support.api_server import State, serving


@pytest.fixture
def repository(
    checkout: Repository,
    archive: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Repository:
    """The small checkout; the working folder is in it."""
    tiny = torchserve_here(tmp_path_factory.mktemp("tiny"), archive)
    for folder in ("tests", "tools"):
        (tiny.root / folder).symlink_to(checkout.root / folder)
    monkeypatch.setenv("GATE", str(tiny.root / "gate"))
    monkeypatch.chdir(tiny.root)
    return tiny


def written_report(checkout: Repository, env: str = "local") -> dict[str, object]:
    folder = checkout.build / "smoke" / env
    assert (folder / "report.junit.xml").is_file()
    report: dict[str, object] = json.loads((folder / "report.json").read_text())
    return report


@pytest.mark.torchserve
def test_the_embedded_server_passes(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["smoke", "--embedded"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("verdict: pass\n")
    assert "– every node is ready: the embedded server is not in a cluster" in output
    report = written_report(repository)
    assert (report["target"], report["embedded"], report["release"]) == ("embedded", True, None)


@pytest.mark.torchserve
def test_a_model_that_cannot_be_served_is_a_failure_of_its_own(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository.root / "gate" / "break-load").touch()
    assert cli.main(["smoke", "--embedded", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["verdict"], report["embedded"]) == ("fail", True)
    assert "the weights have the wrong shape" in report["tests"][0]["why"]
    assert written_report(repository) == report


@pytest.mark.torchserve
def test_without_assertions_there_is_no_verdict(repository: Repository) -> None:
    argv = [sys.executable, "-O", "-m", "harness", "smoke", "--embedded"]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 3, result.stderr
    assert "takes the checks' assertions away" in result.stdout


def test_without_a_local_cluster_it_says_how(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["smoke"]) == 3
    assert "make cluster" in capsys.readouterr().out
    assert written_report(repository)["verdict"] == "invalid"


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["--env", "nowhere"], "no environment 'nowhere'"),
        (["--context", "a context"], "cannot be passed on"),
    ],
)
def test_a_wrong_call_leaves_no_report(
    repository: Repository, capsys: pytest.CaptureFixture[str], argv: list[str], why: str
) -> None:
    assert cli.main(["smoke", *argv]) == 2
    assert why in capsys.readouterr().err
    assert not (repository.build / "smoke").exists()


def test_two_targets_are_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["smoke", "--embedded", "--context", "x"])
    assert "--context: not allowed with argument --embedded" in capsys.readouterr().err


@pytest.fixture
def state(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # noqa: ANN201, RUF100
    """A cluster behind KUBECONFIG."""
    new_state = State()
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "kubectl").symlink_to("/bin/false")
    with serving(new_state, tmp_path / "kubeconfig"):
        yield new_state


def site(env: str) -> dict[str, object]:
    return {
        "kind": "ConfigMap",
        "metadata": {"name": "site", "namespace": "flux-system"},
        "data": {"ENVIRONMENT": env},
    }


def flux(commit: str) -> list[dict[str, object]]:
    metadata = {"name": "torchserve", "namespace": "flux-system", "generation": 1}
    applied = {"lastAppliedRevision": f"main@sha1:{commit}"} if commit else {}
    return [
        {"kind": "Kustomization", "metadata": metadata, "status": applied},
        {"kind": "HelmRelease", "metadata": metadata, "status": {}},
    ]


@pytest.mark.parametrize(
    ("objects", "why"),
    [
        ([], "nothing of this repository runs here"),
        ([site("production")], "the cluster of production, not of local"),
        ([site("local"), *flux("")], "Flux has applied nothing yet"),
    ],
    ids=["empty", "another environment's", "not applied"],
)
def test_a_cluster_that_cannot_be_judged_is_no_verdict(
    repository: Repository, state: State, objects: list[dict[str, object]], why: str
) -> None:
    state.add(*objects)
    assert cli.main(["smoke", "--context", "staging"]) == 3
    report = written_report(repository)
    assert (report["verdict"], report["target"]) == ("invalid", "staging")
    assert why in str(report["tests"])


def test_a_release_that_this_checkout_lacks_fails_what_compares_with_it(
    repository: Repository, state: State
) -> None:
    subprocess.run(["git", "init", "--quiet"], check=True)
    state.add(site("local"), *flux("c" * 40))
    assert cli.main(["smoke", "--context", "staging"]) == 1
    report = written_report(repository)
    release = report["release"]
    assert isinstance(release, dict)
    assert (release["commit"], release["digest"]) == ("c" * 40, None)
    tests = {each["name"]: each for each in report["tests"]}  # type: ignore[attr-defined]
    snapshot = tests["the snapshot in the cluster is that of Git"]
    assert (snapshot["outcome"], snapshot["next"]) == (
        "failed",
        "git fetch --unshallow, or fetch the branch that has it",
    )
    assert not any(each["outcome"] == "not applicable" for each in tests.values())
