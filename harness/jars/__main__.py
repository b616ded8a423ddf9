"""``python -m jars``: exit code 1 if the lock or a file is bad, 3 if nothing could be fetched."""

import argparse
import os
import sys
from pathlib import Path

from . import JarsError, fetch


def main() -> int:
    """Fetch the Java libraries of a lock, or write the hashes that it lacks."""
    parser = argparse.ArgumentParser("jars", description=main.__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, text in (
        ("fetch", "make FOLDER hold the files that LOCK names"),
        ("lock", "write the hash of each line of LOCK that has none"),
    ):
        verbs.add_parser(verb, help=text).add_argument("lock", type=Path)
    verbs.choices["fetch"].add_argument("folder", type=Path)
    args = parser.parse_args()
    # uv and OpenSSL read this one, requests another: one of them is enough.
    if "SSL_CERT_FILE" in os.environ:
        os.environ.setdefault("REQUESTS_CA_BUNDLE", os.environ["SSL_CERT_FILE"])
    try:
        if args.verb == "lock":
            log(f"{fetch.renew(args.lock)} hashes written to {args.lock}")
        elif fetch.fetch(args.lock, args.folder):
            log(f"the Java libraries of {args.lock} are in {args.folder}")
    except JarsError as error:
        log(str(error))
        return error.exit_code
    return 0


def log(text: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"jars: {text}\n")


if __name__ == "__main__":
    raise SystemExit(main())
