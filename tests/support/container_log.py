"""The file of a container's lines as containerd writes it and the kubelet rotates it.

log = ContainerLog(folder, pod="torchserve-0", container="torchserve")
log.write(['{"message": "hi"}'])
log.rotate()
"""

import gzip
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness.core.values import Value

ID = "elasticsearch.document_id"
"""The attribute of OpenTelemetry's record that is a document's id."""

PART = 16 * 1024
"""Bytes after which containerd goes on in a next line (max_container_log_line_size)."""

FILES = 5
"""Files of a container, the one that is written included: the kubelet's containerLogMaxFiles."""


@dataclass(frozen=True, slots=True)
class Document:
    """What an agent sends of a line.

    Attributes:
        body: the document.
        identity: its id; empty if it has none.
    """

    body: Value
    identity: str


@dataclass
class ContainerLog:
    """A container's folder under /var/log/pods.

    Attributes:
        folder: what stands for /var/log/pods.
        uid: of the pod, hexadecimal as Kubernetes' are.
        dropped: lines that went with a file that was one too many.
    """

    folder: Path
    namespace: str = "torchserve"
    pod: str = "torchserve-5d9c7b8f6d-x2x9k"
    uid: str = "0f0e8c5e-3d4f-4b1a-9c1d-2a6b7c8d9e0f"
    container: str = "torchserve"
    _rotated_at: datetime = field(default_factory=lambda: datetime(2026, 1, 1, tzinfo=UTC))

    @property
    def path(self) -> Path:
        """The file that is written."""
        return self.folder / f"{self.namespace}_{self.pod}_{self.uid}" / self.container / "0.log"

    def write(self, lines: list[str], stream: str = "stdout") -> None:
        """Append lines; one that is too long in parts, as containerd does."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write(
                b"".join(part + b"\n" for line in lines for part in cri(line, stream, _now()))
            )

    def rotate(self) -> None:
        """As the kubelet does it: remove what is too old, compress all but the newest, rename.

        pkg/kubelet/logs/container_log_manager.go, rotateLog.
        """
        rotated = sorted(self.path.parent.glob("0.log.*"))
        for path in rotated[: max(0, len(rotated) - (FILES - 2))]:
            path.unlink()
        for path in rotated:
            if path.exists() and path.suffix != ".gz":
                half = path.with_name(f"{path.name}.tmp")
                half.write_bytes(gzip.compress(path.read_bytes()))
                half.rename(path.with_name(f"{path.name}.gz"))
                path.unlink()
        # Names have seconds: a test rotates more often.
        self._rotated_at += timedelta(seconds=1)
        self.path.rename(self.path.with_name(f"0.log.{self._rotated_at:%Y%m%d-%H%M%S}"))
        self.path.touch()  # the runtime opens it again


def cri(line: str, stream: str, at: str) -> list[bytes]:
    """Return a container's line as the runtime writes it: in parts if it is too long.

    Args:
        line: what the container wrote, without its end.
        stream: ``stdout`` or ``stderr``.
        at: the time of each part, RFC 3339.
    """
    content, head = line.encode(), f"{at} {stream}".encode()
    parts = [content[begin : begin + PART] for begin in range(0, len(content), PART)] or [b""]
    return [b"%b P %b" % (head, part) for part in parts[:-1]] + [b"%b F %b" % (head, parts[-1])]


def _now() -> str:
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    now = datetime.fromtimestamp(seconds, UTC)
    return f"{now:%Y-%m-%dT%H:%M:%S}.{nanoseconds:09}Z"
