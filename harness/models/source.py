"""A file of a model, as model.yaml names it.

handler.py                                  beside model.yaml
../batch_handler.py                         shared by several models, inside models/
silero-vad:silero_vad/data/silero_vad.jit   shipped by an installed package
"""

from importlib import metadata
from pathlib import Path
from typing import Annotated

from pydantic import StringConstraints

from harness.core.errors import HarnessError, InputError

Source = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*:)?[A-Za-z0-9_.][A-Za-z0-9_./-]*$")
]


def package_of(source: str) -> str | None:
    """The distribution that ships the file, or None for a file in this repository."""
    package, colon, _ = source.partition(":")
    return package if colon else None


def resolve(source: str, folder: Path) -> Path:
    """Where the file lies; ``folder`` is the model's own.

    Raises:
        InputError: there is no such file, or it lies outside models/.
        HarnessError: the package that ships it is not installed.
    """
    manifest = folder / "model.yaml"
    package = package_of(source)
    if package is None:
        path = (folder / source).resolve()
        if not path.is_relative_to(folder.parent.resolve()):
            raise InputError(f"{source} lies outside {folder.parent}", at=manifest)
    else:
        path = Path(str(_distribution(package).locate_file(source.partition(":")[2])))
    if not path.is_file():
        raise InputError(f"no file {source}", at=manifest)
    return path


def licences(package: str) -> list[Path]:
    """The licence texts that a package was shipped with: they go where its files go."""
    shipped = _distribution(package).files or []
    texts = [file for file in shipped if file.name.upper().startswith(("LICENSE", "LICENCE"))]
    return sorted(Path(str(file.locate())) for file in texts)


def version(package: str) -> str:
    """The installed version of ``package``."""
    return _distribution(package).version


def _distribution(package: str) -> metadata.Distribution:
    try:
        return metadata.distribution(package)
    except metadata.PackageNotFoundError as error:
        raise HarnessError(f"{package} is not installed", hint="run `make setup`") from error
