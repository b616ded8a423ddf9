"""The virtual environments of image sets: what their models are asked and served with here.

The default set's is the harness's own. Another's has the packages of its image and nothing of the
harness: tools/setup.sh makes it of the set's lock when it is needed first, and again when that has
changed. Its files are links into uv's cache where it has the same wheels already.
"""

import hashlib
import sys
from importlib import metadata
from pathlib import Path

from harness.core import command, console, files
from harness.core.errors import HarnessError, InputError
from harness.core.repository import Repository
from harness.image_sets import ImageSet

_SCRIPT = Path(__file__).parent.parent / "tools" / "setup.sh"
_STATE = ".image-set"  # in the environment: of what it was made
_TIMEOUT = 3_600.0  # s: PyTorch with CUDA over a slow line
_RUN = (
    "import runpy, sys; sys.path.append(sys.argv.pop(1)); "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)


def python(repository: Repository, image_set: ImageSet) -> Path:
    """The interpreter of a set's environment, which is set up if it is not as locked.

    Raises:
        InputError: the set has no lock.
        HarnessError: its packages or its Python cannot be had.
    """
    if image_set.is_default:
        return Path(sys.executable)
    if not is_current(repository, image_set):
        set_up(repository, image_set)
    return _interpreter(repository, image_set)


def words(interpreter: Path, module: str) -> list[str | Path]:
    """What runs one of our modules, which needs the standard library alone, in an environment."""
    if interpreter == Path(sys.executable):
        return [interpreter, "-m", module]
    return [interpreter, "-c", _RUN, Path(__file__).parent.parent, module]


def is_current(repository: Repository, image_set: ImageSet) -> bool:
    """Whether a set's environment is what its lock says."""
    if image_set.is_default:
        return True
    path = repository.history / image_set.environment / _STATE
    lock = repository.root / image_set.lock
    return path.is_file() and lock.is_file() and path.read_text() == _state(repository, image_set)


def set_up(repository: Repository, image_set: ImageSet, program: str = "") -> Path:
    """Make a set's environment of its lock; what was there is replaced.

    Args:
        repository: the clone.
        image_set: not the default, which `make setup` makes.
        program: its Python; by default the harness's own, or one of the set's version, which uv
            finds, or downloads.

    Returns:
        The environment's folder.

    Raises:
        InputError: the set has no lock.
        HarnessError: its packages or its Python cannot be had.
    """
    lock = repository.root / image_set.lock
    if not lock.is_file():
        raise InputError(
            f"image set {image_set.name} has no lock", at=lock, hint="make requirements"
        )
    folder = repository.history / image_set.environment
    chosen = program or (image_set.python if image_set.has_python else sys.executable)
    uv = Path(sys.executable).with_name("uv")
    argv: list[str | Path] = ["bash", _SCRIPT, chosen, folder, _torch(), lock, uv]
    with console.step(f"set up the environment of image set {image_set.name}") as update:
        try:
            command.stream(argv, timeout=_TIMEOUT, on_line=update, cwd=repository.root)
        except command.CommandError as error:
            again = f"harness sets setup {image_set.name} --python PROGRAM"
            raise HarnessError(
                f"image set {image_set.name} cannot be set up\n{error.message}",
                hint=f"is its Python {image_set.python} missing here? {again} names one",
            ) from error
    files.write(folder / _STATE, _state(repository, image_set))
    return folder


def distribution(repository: Repository, image_set: ImageSet, name: str) -> metadata.Distribution:
    """An installed package: of the set's environment where it has it, else of the harness's.

    Raises:
        PackageNotFoundError: neither has it.
    """
    if not image_set.is_default:
        folders = (repository.history / image_set.environment).glob("lib/python*/site-packages")
        for each in metadata.distributions(name=name, path=list(map(str, folders))):
            return each
    return metadata.distribution(name)


def _interpreter(repository: Repository, image_set: ImageSet) -> Path:
    return repository.history / image_set.environment / "bin" / "python"


def _state(repository: Repository, image_set: ImageSet) -> str:
    lock = hashlib.sha256((repository.root / image_set.lock).read_bytes()).hexdigest()
    return f"{lock} {image_set.python} {_torch()}\n"


def _torch() -> str:
    """Whose PyTorch the harness's environment has: what `make setup TORCH=…` was called with."""
    stamps = sorted(Path(sys.prefix).glob(".setup-*"))
    return stamps[0].name.removeprefix(".setup-") if stamps else "default"
