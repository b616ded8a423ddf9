"""An environment is added by one command: complete and free of findings, or not at all."""

import filecmp
from pathlib import Path

import pytest

from harness import cli
from harness.core.errors import UsageError
from harness.policy import engine
from harness.settings import new_environment, site
from tests.support import variation


def test_new_environment_has_no_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = variation.copy(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["init", "--env", "dev", "--like", "staging", "DOMAIN=dev.example.org"]) == 0
    values = site.values(repository, "dev")
    assert (values["CLUSTER_NAME"], values["DOMAIN"]) == ("torchserve-dev", "dev.example.org")
    assert engine.check(repository).findings == ()


def test_every_folder_that_is_added_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    variation.copy(tmp_path)
    before = set(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)

    assert cli.main(["init", "--env", "dev", "--like", "staging"]) == 0

    lines = capsys.readouterr().err.splitlines()
    added = [tmp_path / line.split()[1] for line in lines if line.startswith("added ")]
    new = [path for path in set(tmp_path.rglob("*")) - before if path.is_file()]
    assert [each for each in new if not any(folder in each.parents for folder in added)] == []


@pytest.mark.parametrize("setting", ["NONSENSE=1", "AWS_REGION=nowhere", "no-value"])
def test_of_an_environment_with_a_bad_setting_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    variation.copy(tmp_path)
    before = set(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["init", "--env", "dev", "--like", "staging", setting]) == 2
    assert set(tmp_path.rglob("*")) == before


def test_values_of_the_other_installation_are_forgotten(tmp_path: Path) -> None:
    repository = variation.copy(tmp_path)
    site.fill(
        repository,
        "production",
        {"MODEL_BUCKET": "models", "ADMIN_CIDR": "198.51.100.7/32", "CLUSTER_NAME": "Old"},
    )
    release = tmp_path / "clusters/production/release.yaml"
    release.write_text(release.read_text().replace("commit: UNSET", f"commit: {'0' * 40}"))
    new_environment.create(repository, "dev", "production")
    values = site.values(repository, "dev")
    assert values["MODEL_BUCKET"] == "UNSET"
    assert values["ADMIN_CIDR"] == "192.0.2.0/24"
    assert values["CLUSTER_NAME"] == "torchserve-dev"
    assert "branch: main" in (tmp_path / "clusters/dev/release.yaml").read_text()
    assert not (tmp_path / "clusters/dev/promotion.yaml").exists()


@pytest.mark.parametrize(("like", "other"), [("staging", "production"), ("production", "staging")])
def test_comments_about_other_environments_stay_with_them(
    tmp_path: Path, like: str, other: str
) -> None:
    repository = variation.copy(tmp_path)
    new_environment.create(repository, "dev", like)
    files = [*(tmp_path / "clusters/dev").rglob("*"), *repository.app("dev").rglob("*")]
    comments = [
        line
        for file in files
        if file.is_file()
        for line in file.read_text().splitlines()
        if line.lstrip().startswith("# ") and "yaml-language-server" not in line
    ]
    assert any("Proves to the certificate authority" in line for line in comments)
    false = [line for line in comments if other in line.lower() or "promot" in line]
    assert false == []


def test_an_environment_without_a_cluster_on_eks_gives_one_without(tmp_path: Path) -> None:
    repository = variation.copy(tmp_path)

    new_environment.create(repository, "lab", "local")

    assert "ENVIRONMENT: lab" in (tmp_path / "clusters/lab/site.yaml").read_text()
    assert "path: ./apps/torchserve/lab" in (tmp_path / "clusters/lab/apps.yaml").read_text()
    assert not (tmp_path / "clusters/lab/eksctl.yaml").exists()


@pytest.mark.parametrize(
    ("env", "like", "message"),
    [
        ("staging", "production", "clusters/staging already exists"),
        ("../dev", "staging", "is not a name for an environment"),
        ("dev", "stagin", "no environment 'stagin'"),
    ],
)
def test_refused_environment_leaves_nothing(
    tmp_path: Path, env: str, like: str, message: str
) -> None:
    repository = variation.copy(tmp_path)
    with pytest.raises(UsageError, match=message):
        new_environment.create(repository, env, like)
    assert repository.environments == ["local", "production", "staging"]


def test_failure_halfway_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = variation.copy(tmp_path)

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(site, "fill", fail)
    with pytest.raises(OSError, match="no space left"):
        new_environment.create(repository, "dev", "staging")
    compared = filecmp.dircmp(variation.ROOT, tmp_path, ignore=["build", "tools"])
    assert compared.right_only == []
    assert repository.environments == ["local", "production", "staging"]
    assert not (tmp_path / "apps/torchserve/dev").exists()
