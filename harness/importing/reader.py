"""From the words after ``harness import`` to what they become."""

from collections.abc import Sequence
from pathlib import Path

from harness.core.errors import UsageError
from harness.importing import merge, outcome, sources, startup
from harness.importing.outcome import Imported
from harness.snapshot.server import ServerSettings


def read(
    words: Sequence[str],
    like: ServerSettings,
    store: Path | None = None,
    workers: int | None = None,
) -> Imported:
    """Read every source and put them together.

    Args:
        words: files, folders, command lines, variables or addresses.
        like: settings for what the sources leave to their machine.
        store: the old model store, mounted or copied; by default one that the sources name.
        workers: of a model for which only the old machine's GPUs or cores decide.

    Raises:
        InputError: a source cannot be read.
        UsageError: a word is nothing that is known, or ``store`` is not a folder.
    """
    if store and not store.is_dir():
        raise UsageError(f"{store} is not a folder", hint="the old store, mounted or copied")
    configuration = merge.merge([sources.read(word) for word in words], store)
    folder = store or next(iter(configuration.folders), None)
    started = startup.of(configuration, folder, workers)
    return outcome.of(configuration, started, like, folder)
