"""``python -m launcher``: arguments in, exit code out."""

import argparse
import contextlib
import sys
import threading
from pathlib import Path

from .failure import Failure
from .supervisor import Options, Supervisor, say


def main() -> int:
    """Run TorchServe in the foreground."""
    args = _parser().parse_args()
    supervisor = Supervisor(
        Options(
            config=args.config,
            files=args.files,
            work=args.work,
            host=args.host,
            port=args.port,
            drain_seconds=args.drain_seconds,
            quiet_seconds=args.quiet_seconds,
            hung_seconds=args.hung_seconds,
        )
    )
    if args.until_eof:
        threading.Thread(target=_until_eof, args=(supervisor,), daemon=True).start()
    try:
        return supervisor.run()
    except Failure as error:
        say(str(error))
        with contextlib.suppress(OSError):  # it is there in a pod only
            args.termination_log.write_text(f"{error}\n")
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="launcher", description="Starts TorchServe and answers for it."
    )
    add = parser.add_argument
    add("--config", type=Path, required=True, help="TorchServe's config.properties")
    add("--files", type=Path, required=True, help="JSON list of {name, sha256, size} to verify")
    add("--work", type=Path, required=True, help="the one folder that is written to")
    add("--host", default="0.0.0.0", help="address of the launcher's own endpoints")  # noqa: S104
    add("--port", type=int, default=8090, help="and its port")
    add("--drain-seconds", type=float, default=60, help="longest wait for requests in work")
    add("--quiet-seconds", type=float, default=5, help="no request for so long is drained")
    add("--hung-seconds", type=float, default=30, help="no answer for so long is hung")
    add("--until-eof", action="store_true", help="drain and stop when standard input ends, too")
    add(
        "--termination-log",
        type=Path,
        default=Path("/dev/termination-log"),
        help="where a failure's text is left: kubectl describe shows it",
    )
    return parser


def _until_eof(supervisor: Supervisor) -> None:
    sys.stdin.buffer.read()
    supervisor.stop()


if __name__ == "__main__":
    raise SystemExit(main())
