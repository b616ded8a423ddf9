"""Values of a script as JSON has them, with the contents of the files that it puts into them."""

import math
from collections.abc import Callable
from typing import Any

from harness.loadtest.scripts.scope import File, Scope, Unknown


def plain(content: Any, scope: Scope) -> Any:
    """A content as JSON has it, with the contents of the files in it.

    Raises:
        Unknown: a file is not there, or it has what JSON lacks.
    """
    match content:
        case dict():
            return {str(key): plain(each, scope) for key, each in content.items()}
        case list() | tuple():
            return [plain(each, scope) for each in content]
        case bytes():
            return text_of(content)
        case File() if not content.is_lines and not set(content.path) & set("*?["):
            return content_of(content, scope, lambda content: content.decode())
        case float() if not math.isfinite(content):
            pass  # as 1e400 is, in JavaScript too
        case None | bool() | int() | float() | str():
            return content
    raise Unknown(f"{content!r} in a document")


def text_of(content: bytes) -> str:
    """Bytes as a text.

    Raises:
        Unknown: they are none.
    """
    try:
        return content.decode()
    except ValueError as error:
        raise Unknown(f"{content[:20]!r}, which is not text") from error


def content_of(file: File, scope: Scope, read: Callable[[bytes], Any]) -> Any:
    """What ``read`` makes of the content of a file.

    Raises:
        Unknown: it is not there, or does not hold that.
    """
    try:
        return read((scope.folder / file.path).read_bytes())
    except (OSError, ValueError) as error:
        raise Unknown(f"the content of {file.path}, which cannot be read here") from error
