"""Sources that neither Git nor a package pins: fetched once, resumed, verified by SHA-256.

    remote.pin("hf://owner/name@main", folder)       # what it holds, from now on
    remote.provide("hf://owner/name@main", folder)   # its files are in the cache

An address is looked at once. From then on its pin says what it holds: a build needs no network as
long as its archive is there, and other bytes under the same address are an error.
"""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from harness.core import console, files, user_cache
from harness.core.errors import HarnessError, InputError
from harness.models import pins, source
from harness.models.pins import Pin, PinnedFile

if TYPE_CHECKING:  # requests and boto3 take half a second to import, and most builds fetch nothing
    from harness.models.servers import RemoteFile

_ATTEMPTS = 3  # of one file, each from where the last one ended


def pin(text: str, folder: Path) -> Pin:
    """What a source holds: by its pin, else as it is now, which is pinned on this machine.

    Args:
        text: a source for which ``source.is_pinned`` is true.
        folder: the model's own.

    Raises:
        InputError: there is nothing, or a file of this machine is not what was pinned.
        HarnessError: it cannot be reached from here.
    """
    models = folder.parent
    if source.is_remote(text):
        if known := pins.load(models).get(text):
            return known
        current = _fetch(text)
    else:
        committed = pins.committed_pins(models).get(text)
        try:
            tree = source.expand(text, folder)
        except InputError:
            if committed is None:
                raise
            return committed  # of another machine; a build that needs the file says so
        contents = {name: _describe(path) for name, path in tree.files.items()}
        current = Pin(is_folder=tree.is_folder, files=contents)
        if committed and committed.files != contents:
            raise _other_bytes(text, models)
    path = pins.made_here(models)
    pins.write(path, {**pins.read(path), text: current})
    return current


def provide(text: str, folder: Path) -> None:
    """Fetch what the cache lacks of a pinned source.

    Raises:
        InputError: the address holds other bytes now.
        HarnessError: it cannot be reached, or the cache cannot be written.
    """
    known = pin(text, folder)
    if not source.is_remote(text):
        return
    missing = {name for name, file in known.files.items() if not _is_cached(file)}
    if missing:
        fetched = _fetch(text, known.revision, missing).files
        if fetched != {name: known.files[name] for name in missing}:
            raise _other_bytes(text, folder.parent)


def _other_bytes(text: str, models: Path) -> InputError:
    place = source.mention(text, models / pins.NAME)
    return InputError(
        f"{text} holds other bytes than are pinned",
        at=place,
        hint=f"if that is meant, delete its entry there and in {pins.made_here(models)}, "
        "then run `harness models lock`",
    )


def _fetch(text: str, revision: str = "", names: set[str] | None = None) -> Pin:
    """Bring the files of an address into the cache: all, or those ``names``."""
    from harness.models.servers import look

    contents = {}
    with console.step(f"fetch {text}") as update:
        listing = look(text, revision)
        chosen = [file for file in listing.files if names is None or file.name in names]
        for number, file in enumerate(chosen, 1):
            update(f"{number} of {len(chosen)}: {file.name}")
            contents[file.name] = _bring(text, file, update)
    return Pin(
        revision=listing.revision,
        license=listing.license,
        is_folder=listing.is_folder,
        files=contents,
    )


def _bring(text: str, file: "RemoteFile", update: console.Update) -> PinnedFile:
    """Download one file, from where an earlier download of it ended."""
    key = hashlib.sha256(f"{text}\0{file.name}\0{file.state}".encode()).hexdigest()[:32]
    partial = user_cache.folder() / f"partial-{key}"
    with _exclusively(partial) as target:
        for attempt in range(_ATTEMPTS):
            try:
                _append(file, target, update)
            except ConnectionError as error:
                if attempt == _ATTEMPTS - 1:
                    raise _stopped_error(text, file, target, "the connection ended") from error
            except OSError as error:
                raise _stopped_error(text, file, target, error.strerror or str(error)) from error
            if file.size is None or target.tell() >= file.size:
                break
        if file.size is not None and target.tell() != file.size:
            raise _stopped_error(text, file, target, "the server ended")
        target.flush()
        pinned = _describe(partial)
        partial.replace(pins.cache_path(pinned))
    return pinned


def _append(file: "RemoteFile", target: IO[bytes], update: console.Update) -> None:
    offset = target.seek(0, os.SEEK_END) if file.state else 0
    if file.size is not None and offset >= file.size:
        return
    start, chunks = file.read(offset)
    target.seek(start)
    target.truncate()
    for chunk in chunks:
        target.write(chunk)
        of = f" of {file.size / 1e6:,.0f}" if file.size else ""
        update(f"{file.name}: {target.tell() / 1e6:,.0f}{of} MB")


@contextlib.contextmanager
def _exclusively(path: Path) -> Iterator[IO[bytes]]:
    """Open a file of the cache for one process at a time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = path.open("r+b" if path.exists() else "w+b")
    except OSError as error:
        raise HarnessError(
            f"cannot write: {error.strerror}", at=path, hint="XDG_CACHE_HOME names another folder"
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _stopped_error(text: str, file: "RemoteFile", target: IO[bytes], reason: str) -> HarnessError:
    size = f" of {file.size:,}" if file.size is not None else ""
    return HarnessError(
        f"{text}: {reason} after {target.tell():,}{size} bytes of {file.name}",
        hint="run the command again: it goes on from there",
    )


def _describe(path: Path) -> PinnedFile:
    return PinnedFile(sha256=files.sha256(path), size=path.stat().st_size)


def _is_cached(file: PinnedFile) -> bool:
    path = pins.cache_path(file)
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    with contextlib.suppress(OSError):
        os.utime(path)
    return True
