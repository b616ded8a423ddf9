"""The changes of the throw-away commit to the working tree: nothing in it may stay ``UNSET``.

The Git server's address, what ``harness models build`` built, and for the rest the placeholders
that the renderer uses too. The fake pods run no image, so an image's digest need only look like
one.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.render import placeholders
from harness.snapshot import config

_FIELD = re.compile(
    r"^(?P<key>[ \t-]*(?P<name>[\w./-]+):[ \t]+)(?P<value>.*\bUNSET\b.*)$", re.MULTILINE
)
_ARCHIVE = re.compile(r"-UNSET\.mar\b")


def changes(repository: Repository, env: str, url: str) -> dict[str, str]:
    """Path → text of every file that Flux reads and that has an ``UNSET``.

    Args:
        repository: the working tree.
        env: the environment that is synced; its generated files come from build/, if that exists.
        url: where the cluster fetches the repository.

    Raises:
        InputError: a field has no placeholder.
    """
    values = {**placeholders.load().values, "url": url, "GIT_URL": url}
    texts = {
        str(path.relative_to(repository.root)): fill(path.read_text(), values, path)
        for path in _with_unset(repository, env)
    }
    lock = repository.built_models / "lock.yaml"
    if lock.is_file():
        fresh = config.stale(repository, env, lock)
        texts |= {str(path.relative_to(repository.root)): text for path, text in fresh.items()}
    return texts


def fill(text: str, values: Mapping[str, str], path: Path) -> str:
    """``text`` with each ``UNSET`` replaced by the value that its key has.

    Raises:
        InputError: a key has none.
    """

    def value(field: re.Match[str]) -> str:
        if field["name"] not in values:
            raise InputError(f"{field['name']} is UNSET and has no placeholder", at=path)
        return field["key"] + field["value"].replace("UNSET", values[field["name"]])

    return _FIELD.sub(value, _ARCHIVE.sub(f"-{values['sha256'][:12]}.mar", text))


def _with_unset(repository: Repository, env: str) -> Iterator[Path]:
    read = [repository.root / "infra", repository.root / "apps", repository.cluster(env)]
    for path in (each for folder in read for each in sorted(folder.rglob("*"))):
        applied = path.suffix in (".yaml", ".properties") and path.name not in _NOT_APPLIED
        if applied and "chart" not in path.parts and "UNSET" in path.read_text():
            yield path


_NOT_APPLIED = ("efs.yaml", "eksctl.yaml", "loadtest.yaml", "promotion.yaml")
