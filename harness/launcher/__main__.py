"""``python -m launcher``: exit code 143 after a stop that was asked for (TorchServe's own), 1 if an
archive, the configuration or a model's code is bad, 3 for anything else.
"""

import argparse
import contextlib
import os
import threading
from pathlib import Path

from . import Failure, libraries
from .output import Output
from .supervisor import Supervisor

_LAST_LINES = 2.0  # seconds for what was logged last to be written


def main() -> int:
    """Run TorchServe in the foreground."""
    parser = argparse.ArgumentParser("launcher", description="Starts TorchServe, answers for it.")
    add = parser.add_argument
    add("--config", type=Path, required=True, help="TorchServe's config.properties")
    add("--files", type=Path, required=True, help="JSON list of {name, sha256, size} to verify")
    add("--work", type=Path, required=True, help="the one folder that is written to")
    add("--jars", type=Path, default=libraries.FOLDER, help="Java libraries that run first")
    add("--host", default="0.0.0.0", help="address of the launcher's own endpoints")  # noqa: S104
    add("--port", type=int, default=8090, help="and its port")
    add("--drain-seconds", type=float, default=60, help="longest wait for requests in flight")
    add("--quiet-seconds", type=float, default=1, help="no request for so long is drained")
    add("--hung-seconds", type=float, default=30, help="no answer for so long is hung")
    add("--recovery-seconds", type=float, default=60, help="longest that a model has no worker")
    add("--traces", help="URL of a collector for spans (OTLP over HTTP); none without it")
    add("--until-eof", action="store_true", help="also drain and stop when standard input ends")
    # Of its default, Kubernetes shows the end as the pod's last state.
    add("--termination-log", type=Path, default="/dev/termination-log", help="for a failure's text")
    args = parser.parse_args()
    output = Output(args.config.parent)
    try:
        supervisor = Supervisor(args, output)
        if args.until_eof:
            threading.Thread(target=_until_eof, args=(supervisor,), daemon=True).start()
        return supervisor.run()
    except Failure as error:
        output.log(str(error), "ERROR")
        with contextlib.suppress(OSError):  # it exists in a pod only
            args.termination_log.write_text(f"{error}\n")
        return error.exit_code
    finally:
        output.flush(_LAST_LINES)


def _until_eof(supervisor: Supervisor) -> None:
    while os.read(0, 1024):
        pass
    supervisor.stop()


if __name__ == "__main__":
    raise SystemExit(main())
