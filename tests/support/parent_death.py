r"""Programs that end with the process that started them, however that one ends.

with serving(["crane", "registry", "serve"], r"serving on port (\d+)") as port:
    ...
"""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from harness.local_cluster.process import die_with


def bind_to_parent(argv: Sequence[object]) -> list[str]:
    """What starts ``argv`` so that the kernel kills it with the calling thread."""
    return [sys.executable, __file__, str(os.getpid()), *map(str, argv)]


@contextmanager
def serving(argv: Sequence[object], says: str) -> Iterator[str]:
    """A server for as long as the block runs.

    Args:
        argv: what starts it.
        says: what it writes to its standard error once it listens; its group is what is yielded.
    """
    with subprocess.Popen(bind_to_parent(argv), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        # Whatever it goes on to write has to be read, or it waits for us.
        drain = threading.Thread(target=process.stderr.read, daemon=True)
        try:
            matches = (re.search(says, line) for line in process.stderr)
            where = next((match[1] for match in matches if match), "")
            assert where, f"{argv} ended with {process.wait()} before it said {says!r}"
            drain.start()
            yield where
        finally:
            process.terminate()
            process.wait(timeout=10)
            if drain.ident:
                drain.join(timeout=10)


def main() -> None:
    """Set it in the child itself: a fork that runs Python may hang where there are threads."""
    parent, *argv = sys.argv[1:]
    die_with(int(parent))
    os.execvp(argv[0], argv)  # noqa: S606  what the test starts, and no shell


if __name__ == "__main__":
    main()
