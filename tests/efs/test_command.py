"""``harness efs`` as a person types it."""

import json
from pathlib import Path

import pytest

from harness import cli
from harness.core.repository import Repository
from tests.support.aws_server import Shim


@pytest.fixture(autouse=True)
def _working_folder(staging: Repository, monkeypatch: pytest.MonkeyPatch, shim: Shim) -> None:
    monkeypatch.chdir(staging.root)


def efs(*words: str) -> int:
    return cli.main(["efs", *words, "--env", "staging"])


def test_from_nothing_to_a_filled_site_and_back(
    staging: Repository, shim: Shim, capsys: pytest.CaptureFixture[str]
) -> None:
    site = staging.root / "clusters" / "staging" / "site.yaml"
    before = site.read_text()

    assert efs("plan") == 0
    planned = capsys.readouterr().out.splitlines()
    assert len(planned) == 8
    assert not [name for name in shim.calls if not name.startswith(("Describe", "List"))]
    assert efs("status") == 1
    capsys.readouterr()

    assert efs("apply") == 0
    lines = capsys.readouterr().out.splitlines()
    assert set(planned) < set(lines)
    assert "EFS_FILE_SYSTEM_ID: fs-" in site.read_text()
    assert "EFS_SERVER_ACCESS_POINT_ID: fsap-" in site.read_text()

    assert efs("status") == 0
    assert "up to date" in capsys.readouterr().out

    assert efs("destroy", "--yes") == 0
    assert site.read_text() == before
    assert efs("destroy", "--yes") == 0


def test_destroy_refuses_while_there_is_data(
    shim: Shim, capsys: pytest.CaptureFixture[str]
) -> None:
    assert efs("apply", "--json") == 0
    written = json.loads(capsys.readouterr().out)["written"]
    [name] = [line.split()[1] for line in written if line.startswith("EFS_FILE_SYSTEM_ID")]
    shim.sizes[name] = 2_000_000
    assert efs("destroy", "--yes") == 1
    assert "holds 2,000,000 bytes" in capsys.readouterr().err
    assert efs("destroy") == 1
    capsys.readouterr()
    assert efs("destroy", "--with-data") == 2  # no terminal to confirm on
    assert "account 123456789012, us-west-2:" in capsys.readouterr().err
    assert efs("destroy", "--yes", "--with-data") == 0


def test_settings_and_site_must_name_one_region(
    staging: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    path = staging.root / "clusters" / "staging" / "site.yaml"
    path.write_text(path.read_text().replace("us-west-2", "eu-west-1"))
    assert efs("plan") == 1
    assert (
        "AWS_REGION is eu-west-1, but the region of eksctl.yaml is us-west-2"
        in capsys.readouterr().err
    )


def test_an_environment_without_efs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["efs", "plan", "--env", "local"]) == 2
    assert "clusters/local/efs.yaml not found" in capsys.readouterr().err
