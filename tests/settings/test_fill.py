"""`harness init` writes what a site knows, everywhere, and changes nothing else."""

import argparse
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cli import init
from harness.core.errors import HarnessError, InputError, UsageError
from harness.core.repository import Repository
from harness.settings import site

_GIVEN = {
    "GIT_URL": "ssh://git@git.example.org/ml/torchserve.git",
    "AWS_ACCOUNT_ID": "012345678901",
    "AWS_REGION": "eu-central-1",
    "CLUSTER_NAME": "Models",
    "REGISTRY": "012345678901.dkr.ecr.eu-central-1.amazonaws.com",
    "MODEL_BUCKET": "ml-models",
    "EFS_FILE_SYSTEM_ID": "fs-0a1b2c3d4e5f60718",
    "EFS_LOADER_ACCESS_POINT_ID": "fsap-0a1b2c3d4e5f60719",
    "EFS_SERVER_ACCESS_POINT_ID": "fsap-0a1b2c3d4e5f6071a",
    "DOMAIN": "ml.example.org",
    "ACME_EMAIL": "ml@team.example",
    "JWT_ISSUER": "https://login.example.org",
    "JWT_JWKS_URI": "https://login.example.org/keys",
    "KMS_KEY_ARN": "arn:aws:kms:eu-central-1:012345678901:key/1",
    "ADMIN_CIDR": "198.51.100.7/32",
    "ADMIN_ROLE_ARN": "arn:aws:iam::012345678901:role/admin",
    "WORKFLOW_ROLE_ARN": "arn:aws:iam::012345678901:role/workflow",
    "MODEL_SYNC_POLICY_ARN": "arn:aws:iam::012345678901:policy/model-sync",
    "SOPS_POLICY_ARN": "arn:aws:iam::012345678901:policy/sops",
}

# What a region brings with it.
_ZONES = {
    "AWS_ZONE_1": "eu-central-1a",
    "AWS_ZONE_2": "eu-central-1b",
    "AWS_ZONE_3": "eu-central-1c",
}


@pytest.fixture
def fork(checkout: Repository, tmp_path: Path) -> Repository:
    """A fresh copy of what `harness init` may write to."""
    shutil.copytree(checkout.root / "clusters", tmp_path / "clusters")
    (tmp_path / "models").mkdir()
    return Repository(tmp_path)


def _values(fork: Repository, env: str = "staging") -> dict[str, set[str]]:
    places: dict[str, set[str]] = {}
    for each in site.read(fork, env):
        places.setdefault(each.name, set()).add(each.value)
    return places


def test_every_setting_of_staging_and_production_has_all_its_places(fork: Repository) -> None:
    for env in ("staging", "production"):
        places = [each.name for each in site.read(fork, env)]
        for name, setting in site.SETTINGS.items():
            assert places.count(name) == len(setting.places), name


def test_a_setting_is_written_wherever_it_stands(fork: Repository) -> None:
    written = site.fill(fork, "staging", _GIVEN)
    want = {name: {value} for name, value in (_GIVEN | _ZONES).items()}
    assert _values(fork) == want
    assert {path.name for path in written} == {
        "commit-status-provider.yaml",
        "eksctl.yaml",
        "fluxinstance.yaml",
        "provider.yaml",
        "release.yaml",
        "site.yaml",
    }


def test_zones_are_named_where_an_account_has_others_than_a_b_and_c(fork: Repository) -> None:
    tokyo = {"AWS_ZONE_2": "ap-northeast-1c", "AWS_ZONE_3": "ap-northeast-1d"}
    site.fill(fork, "staging", {"AWS_REGION": "ap-northeast-1", **tokyo})
    site.fill(fork, "staging", {"AWS_REGION": "ap-northeast-1"})  # what was chosen stays
    zones = {name: value for name, value in site.values(fork, "staging").items() if "ZONE" in name}
    assert zones == {"AWS_ZONE_1": "ap-northeast-1a", **tokyo}


def test_only_values_change(fork: Repository) -> None:
    path = fork.root / "clusters/staging/eksctl.yaml"
    before = path.read_text().splitlines()
    site.fill(fork, "staging", _GIVEN)
    after = path.read_text().splitlines()
    changed = [old for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == 11
    assert not [line for line in changed if line.lstrip().startswith("#")]


def test_a_comment_behind_a_value_stays(fork: Repository) -> None:
    path = fork.root / "clusters/staging/site.yaml"
    path.write_text(path.read_text().replace("DOMAIN: UNSET", "DOMAIN: UNSET # ours"))
    site.fill(fork, "staging", {"DOMAIN": "a.example"})
    assert "  DOMAIN: a.example # ours\n" in path.read_text()


def test_filling_twice_changes_nothing(fork: Repository) -> None:
    site.fill(fork, "staging", _GIVEN)
    assert site.fill(fork, "staging", _GIVEN) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("AWS_ACCOUNT_ID", "012345678901"), ("REGISTRY", "true"), ("JWT_ISSUER", "https://a:")],
    ids=["number", "word of YAML", "colon at the end"],
)
def test_what_yaml_would_misread_is_quoted(fork: Repository, name: str, value: str) -> None:
    site.fill(fork, "staging", {name: value})
    assert f'{name}: "{value}"' in (fork.root / "clusters/staging/site.yaml").read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"AWS_REGIN": "us-east-1"}, "unknown setting 'AWS_REGIN'"),
        (
            {"AWS_ACCOUNT_ID": "12"},
            "AWS_ACCOUNT_ID is the AWS account, not '12'\n  → twelve digits",
        ),
        (
            {"AWS_REGION": "nowhere"},
            "AWS_REGION is .* not 'nowhere'\n  → a region, as eu-central-1",
        ),
        ({"ADMIN_CIDR": "here"}, r"not 'here'\n  → it matches \[\\d"),
        ({"JWT_ISSUER": "http://plain.example"}, "JWT_ISSUER is who signs"),
    ],
    ids=["name", "form", "region", "form that has no words", "plain http"],
)
def test_what_cannot_be_right_is_refused_and_nothing_written(
    fork: Repository, changes: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        site.fill(fork, "staging", {"DOMAIN": "a.example"} | changes)
    assert _values(fork)["DOMAIN"] == {site.UNSET}


@settings(deadline=None)  # it waits for the disk
@given(st.from_regex(site.SETTINGS["JWT_ISSUER"].pattern, fullmatch=True))
def test_any_value_of_the_form_comes_back_as_it_was_given(value: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "clusters/staging/site.yaml")
        path.parent.mkdir(parents=True)
        path.write_text("data:\n  # who\n  JWT_ISSUER: UNSET # signs\n  DOMAIN: UNSET\n")
        fork = Repository(Path(folder))
        site.fill(fork, "staging", {"JWT_ISSUER": value})
        assert _values(fork) == {"JWT_ISSUER": {value}, "DOMAIN": {site.UNSET}}
        assert path.read_text().endswith(" # signs\n  DOMAIN: UNSET\n")


def test_an_environment_without_a_place_says_so(fork: Repository) -> None:
    with pytest.raises(InputError, match="local has no place for KMS_KEY_ARN"):
        site.fill(fork, "local", {"KMS_KEY_ARN": _GIVEN["KMS_KEY_ARN"]})
    with pytest.raises(InputError, match=r"data\.DOMAIN is missing"):
        site.fill(fork, "local", {"DOMAIN": "a.example"})


def test_a_value_over_several_lines_is_left_alone(fork: Repository) -> None:
    path = fork.root / "clusters/staging/site.yaml"
    path.write_text(path.read_text().replace("DOMAIN: UNSET", "DOMAIN:\n    UNSET"))
    with pytest.raises(HarnessError, match=r"site\.yaml:\d+: is written in a way"):
        site.fill(fork, "staging", {"DOMAIN": "a.example"})


def test_the_command_says_what_is_left(
    fork: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(fork.root)
    assert _call("--env", "production", "DOMAIN=ml.example.org") == 0
    out = capsys.readouterr().out
    assert out.startswith("wrote clusters/production/site.yaml\n")
    assert "JWT_ISSUER" in out and "  DOMAIN" not in out
    rest = [f"{name}={value}" for name, value in _GIVEN.items()]
    assert _call("--env", "production", *rest) == 0
    assert capsys.readouterr().out.endswith("production is filled in\n")


def test_the_command_takes_pairs_only(fork: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fork.root)
    with pytest.raises(UsageError, match="'DOMAIN' is not NAME=VALUE"):
        _call("--env", "production", "DOMAIN")


def _call(*words: str) -> int:
    parser = argparse.ArgumentParser()
    init.register(parser)
    args = parser.parse_args(words)
    args.json = False
    code: int = args.run(args)
    return code
