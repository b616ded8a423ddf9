"""The command line of the sync Job; its exit code 1 keeps the old pods serving."""

import argparse
import sys
from pathlib import Path

from . import SyncError, end_on_sigterm
from .s3 import Bucket
from .store import Store, read_files


def main() -> int:
    """Fill the store, then put a copy of the released configuration next to it."""
    parser = argparse.ArgumentParser(prog="model_sync", description=__doc__)
    parser.add_argument("--source", required=True, help="s3://bucket or s3://bucket/prefix")
    parser.add_argument("--files", required=True, type=Path, help="JSON: [{name, sha256, size}]")
    parser.add_argument("--config", required=True, type=Path, help="the config.properties")
    parser.add_argument("--store", required=True, type=Path, help="folder of the archives")
    args = parser.parse_args()
    end_on_sigterm()
    try:
        store, bucket = Store(args.store), Bucket(args.source)
        files = read_files(args.files)
        with store.locked():
            for file in files:
                _log(f"{file.name}: {store.fill(file, bucket.read)}")
            store.write_manifest(files)
            store.keep_config(args.config)
    except SyncError as error:
        _log(f"✗ {error}")
        return 1
    _log(f"{len(files)} archives are in {args.store}, each with the right SHA-256")
    return 0


def _log(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
