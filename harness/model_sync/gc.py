"""Names the archives that no release needs, and removes them: the program of a Job.

    python -m model_sync.gc --store FOLDER --keep FILE [--remove]

It holds the store's lock, so no sync Job runs meanwhile. Kept is what FILE names, and what the
last sync was asked for: a release that began after FILE was written has its archives.
"""

import argparse
import json
import sys
from pathlib import Path

from . import SyncError, end_on_sigterm
from .store import Store


def main() -> int:
    """Print ``{"unneeded": [{name, size}], "removed": bool}``; exit code 1 if it could not."""
    parser = argparse.ArgumentParser(prog="model_sync.gc", description=__doc__)
    parser.add_argument("--store", required=True, type=Path, help="folder of the archives")
    parser.add_argument("--keep", required=True, type=Path, help="JSON: names of archives")
    parser.add_argument("--remove", action="store_true", help="remove, do not only name")
    args = parser.parse_args()
    end_on_sigterm()
    try:
        store, keep = Store(args.store), _read_names(args.keep)
        with store.locked():
            unneeded = store.archives(excluding=keep | store.released())
            if args.remove:
                store.remove(unneeded)
    except SyncError as error:
        sys.stdout.write(f"✗ {error}\n")
        return 1
    archives = [{"name": name, "size": size} for name, size in sorted(unneeded.items())]
    sys.stdout.write(json.dumps({"unneeded": archives, "removed": args.remove}) + "\n")
    return 0


def _read_names(path: Path) -> set[str]:
    try:
        names = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SyncError(f"{path} is not a list of names: {error}") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SyncError(f"{path} is not a list of names")
    return set(names)


if __name__ == "__main__":
    sys.exit(main())
