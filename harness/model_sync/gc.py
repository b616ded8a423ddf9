"""Names the archives that no release needs, and removes them: the program of a Job.

    python -m model_sync.gc --store FOLDER --keep FILE [--groups FILE] [--remove]

It holds the store's lock, so no sync Job runs meanwhile. Kept is what --keep names, and what the
last sync of each group was asked for: a release that began after that list was written has its
archives. The record of a group that is not in --groups is removed, and its archives with the next
run: if the group came back after that list was written, that run's lists have it.
"""

import argparse
import json
import sys
from pathlib import Path

from . import SyncError, end_on_sigterm
from .store import Store


def main() -> int:
    """Print ``{"unneeded": [{name, size}], "gone": [group], "removed": bool}``.

    Returns:
        The exit code: 1 if it could not.
    """
    parser = argparse.ArgumentParser(prog="model_sync.gc", description=__doc__)
    parser.add_argument("--store", required=True, type=Path, help="folder of the archives")
    parser.add_argument("--keep", required=True, type=Path, help="JSON: names of archives")
    parser.add_argument("--groups", type=Path, help="JSON: names of the groups of the cluster")
    parser.add_argument("--wait-seconds", type=float, default=840, help="how long to wait for it")
    parser.add_argument("--remove", action="store_true", help="remove, do not only name")
    args = parser.parse_args()
    end_on_sigterm()
    try:
        store, keep = Store(args.store), _read_names(args.keep)
        groups = _read_names(args.groups) if args.groups else None
        with store.locked("a garbage collection", args.wait_seconds):
            records = store.records()
            gone = sorted(records.keys() - groups) if groups is not None else []
            unneeded = store.archives(excluding=keep.union(*records.values()))
            if args.remove:
                store.remove(unneeded)
                for group in gone:
                    store.forget(group)
    except SyncError as error:
        sys.stdout.write(f"✗ {error}\n")
        return 1
    archives = [{"name": name, "size": size} for name, size in sorted(unneeded.items())]
    answer = {"unneeded": archives, "gone": gone, "removed": args.remove}
    sys.stdout.write(json.dumps(answer) + "\n")
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
