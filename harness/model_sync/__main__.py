"""The command line of the sync Job; its exit code 1 keeps the old pods serving."""

import argparse
import os
import sys
from pathlib import Path

from . import SyncError, alarm, end_on_sigterm, log
from .s3 import Bucket
from .store import FIRST_GROUP, Store, read_files

_DAY = "86400"  # seconds; the Job's own deadline comes first where its chart passes no other


def main() -> int:
    """Fill the store, then put a copy of the released configuration next to it."""
    args = _arguments()
    end_on_sigterm()
    try:
        store, bucket = Store(args.store), Bucket(args.source)
        files = read_files(args.files)
        work = alarm.every(args.deadline_seconds, lambda: _give_up(args.deadline_seconds))
        with store.locked(f"the sync of group {args.group}", args.wait_seconds), work:
            for file in files:
                log(f"{file.name}: {store.fill(file, bucket.read)}")
            store.write_manifest(files)
            store.record(args.group, args.config)
    except SyncError as error:
        log(f"✗ {error}")
        return 1
    log(f"{len(files)} archives are in {args.store}, each with the right SHA-256")
    return 0


def _arguments() -> argparse.Namespace:
    """Parse the command line; what an image before December 2026 does not know is in variables."""
    parser = argparse.ArgumentParser(prog="model_sync", description=__doc__)
    parser.add_argument(
        "--source", required=True, help="s3://bucket or s3://bucket/prefix; gs:// too"
    )
    parser.add_argument("--files", required=True, type=Path, help="JSON: [{name, sha256, size}]")
    parser.add_argument("--config", required=True, type=Path, help="the config.properties")
    parser.add_argument("--store", required=True, type=Path, help="folder of the archives")
    for name, kind, default, meaning in (
        ("group", str, FIRST_GROUP, "the group whose archives these are"),
        ("wait-seconds", float, _DAY, "how long other Jobs may have the store first"),
        ("deadline-seconds", float, _DAY, "how long this one may have it"),
    ):
        variable = f"MODEL_SYNC_{name.upper().replace('-', '_')}"
        help_text = f"{meaning} ({variable})"
        passed = os.environ.get(variable, default)
        parser.add_argument(f"--{name}", type=kind, default=passed, help=help_text)
    return parser.parse_args()


def _give_up(seconds: float) -> None:
    """End as on SIGTERM: boto3 takes any other exception for a lost connection."""
    log(
        f"✗ the archives are not all there after {seconds:.0f} s with the model store; "
        "the next run goes on; raise modelStore.sync.deadlineSeconds"
    )
    raise SystemExit(1)


if __name__ == "__main__":
    sys.exit(main())
