"""A file of a model, as model.yaml names it.

handler.py                                  next to model.yaml
../batch_handler.py                         shared by several models, inside models/
silero-vad:silero_vad/data/silero_vad.jit   shipped by an installed package
"""

from importlib import metadata
from pathlib import Path
from typing import Annotated

from pydantic import StringConstraints

from harness.core.errors import HarnessError, InputError, Location

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
    place = mention(source, folder / "model.yaml")
    package = package_of(source)
    if package is None:
        path = (folder / source).resolve()
        if not path.is_relative_to(folder.parent.resolve()):
            raise InputError(f"{source} lies outside {folder.parent}", at=place)
    else:
        path = Path(str(_distribution(package).locate_file(source.partition(":")[2])))
    if not path.is_file():
        raise InputError(f"no file {source}", at=place)
    return path


def mention(text: str, path: Path) -> Location:
    """The first line of the file that holds ``text``: where a person goes to change it."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return Location(path, next((n for n, line in enumerate(lines, 1) if text in line), None))


def licenses(package: str) -> list[Path]:
    """The license texts that a package was shipped with: they go where its files go."""
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
