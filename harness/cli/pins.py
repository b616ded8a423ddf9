"""What `harness image pin` and `harness canary pin` have in common: a digest goes into files."""

import argparse
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from harness.core import files, yamlfile
from harness.core.errors import UsageError

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def add_digest(parser: argparse.ArgumentParser, which: str) -> None:
    """Add the image's digest."""
    parser.add_argument("digest", metavar="DIGEST", help=f"sha256:… of the image {which}")


def write(
    root: Path, paths: Iterable[str | Path], digest: str, replace: Callable[[str, Path], str]
) -> list[dict[str, object]]:
    """Write a digest into files: all of them, or none.

    Args:
        root: of the repository.
        paths: of the files, relative to it.
        digest: as somebody typed it.
        replace: from a file's text and path, the text with the digest.

    Returns:
        Of each file its name, the digest, and whether it had another one.

    Raises:
        UsageError: it is not a digest.
        InputError: a file has no place for it.
    """
    if not _DIGEST.fullmatch(digest):
        raise UsageError(f"{digest!r} is not a digest", hint="sha256: and 64 hexadecimal digits")
    texts = {path: replace(yamlfile.read_text(root / path), root / path) for path in paths}
    return [
        {"file": str(path), "digest": digest, "changed": files.write(root / path, text)}
        for path, text in texts.items()
    ]


def summary(rows: Iterable[dict[str, object]]) -> str:
    """What was written, a line for each file."""
    return "\n".join(
        f"{row['file']}: {'now runs' if row['changed'] else 'already runs'} {row['digest']}"
        for row in rows
    )
