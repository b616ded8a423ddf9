"""A real registry on loopback, with two small images that are really signed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness import tools
from harness.core import command
from harness.core.repository import Repository
from tests.support.parent_death import serving

_SECONDS = 60.0


@dataclass(frozen=True)
class Registry:
    """A registry that runs.

    Attributes:
        address: host and port.
        digest: of an image ``staging/torchserve``.
        other_digest: of another one.
        public_key: of whoever signed it.
    """

    address: str
    digest: str
    other_digest: str
    public_key: Path


@contextmanager
def running(repository: Repository, folder: Path) -> Iterator[Registry]:
    """A registry for as long as the block runs; ``folder`` is empty."""
    crane, cosign = (tools.find(repository, name) for name in ("crane", "cosign"))
    argv = [crane, "registry", "serve", "--address", "127.0.0.1:0"]
    with serving(argv, r"serving on port (\d+)") as port:
        address = f"127.0.0.1:{port}"
        name = f"{address}/staging/torchserve"
        digests = [_push(crane, f"{name}:{tag}", folder) for tag in ("1", "2")]
        _sign(cosign, [f"{name}@{digest}" for digest in digests], folder)
        yield Registry(address, *digests, folder / "cosign.pub")


def _push(crane: Path, name: str, folder: Path) -> str:
    """Push an image that has its own name in it; return its digest."""
    (folder / "layer").mkdir(exist_ok=True)
    (folder / "layer" / "README").write_text(f"{name}: no container runs in kwok's pods.\n")
    layer = folder / "layer.tar"
    command.run(["tar", "cf", layer, "-C", folder / "layer", "."], timeout=_SECONDS)
    argv = [crane, "append", "--new_layer", layer, "--new_tag", name]
    command.run(argv, timeout=_SECONDS)
    return command.run([crane, "digest", name], timeout=_SECONDS).stdout.strip()


def _sign(cosign: Path, references: Sequence[str], folder: Path) -> None:
    quiet = {"COSIGN_PASSWORD": ""}
    command.run([cosign, "generate-key-pair"], cwd=folder, timeout=_SECONDS, env=quiet)
    words = ["--key", folder / "cosign.key", "--yes", "--tlog-upload=false"]
    words += ["--use-signing-config=false", "--allow-http-registry"]
    command.run([cosign, "sign", *words, *references], timeout=_SECONDS, env=quiet)
