"""Remote charts: which one a HelmRelease installs, and the copy of it on this machine.

`harness tools` fetches each by its exact version; a render reads that copy and never the network.
"""

import contextlib
import dataclasses
import hashlib
import itertools
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness import tools
from harness.core import command
from harness.core.errors import Location
from harness.core.repository import Repository
from harness.core.values import KeyPath, Value, dig, mapping, text
from harness.render import helm
from harness.render.objects import Object

_SECONDS = 15  # a chart of 300 kB takes one; nobody waits longer for a network that is not there
_EXACT = re.compile(r"v?\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?|sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class RemoteChart:
    """A chart in a repository elsewhere, at one version.

    Attributes:
        url: its repository; of a chart in an OCI registry, the chart's own address.
        name: its name in the repository; empty in an OCI registry.
        version: one version, or a digest.
    """

    url: str
    name: str
    version: str

    def __str__(self) -> str:
        return " ".join(filter(None, (self.url, self.name, self.version)))

    @property
    def chart(self) -> str:
        """The chart's own name."""
        return self.name or self.url.rpartition("/")[2]

    def folder(self, repository: Repository) -> Path:
        """Where its copy lies, once it was fetched."""
        digest = hashlib.sha256(str(self).encode()).hexdigest()[:16]
        return repository.build / "tools" / "charts" / digest

    def copy(self, repository: Repository) -> Path | None:
        """The archive; None while it was not fetched."""
        return next(iter(self.folder(repository).glob("*.tgz")), None)


@dataclass(frozen=True, slots=True)
class FromRelease:
    """Traces an object of a remote chart, which is not ours to edit.

    What can be edited is a value of the HelmRelease: of those that the field has, the one whose
    path ends most like the field's own. Where there is none it is the line that names the chart.
    """

    release: Object

    def __call__(self, value: Value, path: KeyPath) -> Location:
        rendered = dig(value, *path)
        values = self.release.dig("spec", "values")
        alike = [
            value_path for value_path, configured in _leaves(values, ()) if configured == rendered
        ]
        best = max(alike, key=lambda value_path: _shared_suffix(value_path, path), default=())
        shared = _shared_suffix(best, path)
        at = self.value(best if shared else ())
        # One key alike is enough to point at; only more of them say that it is the same value.
        return at if shared > 1 else dataclasses.replace(at, field=None)

    def value(self, path: KeyPath) -> Location:
        """The line of a value; of one that the HelmRelease does not give, what names the chart."""
        if path and self.release.dig("spec", "values", *path) is not None:
            return self.release.at("spec", "values", *path)
        return self.chart_location

    @property
    def chart_location(self) -> Location:
        """The line that names the chart."""
        return self.release.at("spec", "chart" if self.release.dig("spec", "chart") else "chartRef")


def remote_chart(
    release: Object, find: Callable[[str, str, str], Object | None]
) -> RemoteChart | None:
    """The remote chart of a HelmRelease, or None if it does not name exactly one version.

    Args:
        release: the HelmRelease.
        find: finds an object by kind, namespace and name.
    """
    chart_spec = mapping(release.value, "spec", "chart", "spec")
    reference = mapping(chart_spec, "sourceRef") or mapping(release.value, "spec", "chartRef")
    kind, namespace = text(reference, "kind"), text(reference, "namespace") or release.namespace
    source = find(kind, namespace, text(reference, "name"))
    url = text(source.value, "spec", "url").rstrip("/") if source else ""
    name, version = text(chart_spec, "chart"), text(chart_spec, "version")
    if source and kind == "OCIRepository":
        name = ""
        version = str(source.dig("spec", "ref", "digest") or source.dig("spec", "ref", "tag"))
    elif url.startswith("oci://"):
        url, name = f"{url}/{name}", ""
    return RemoteChart(url, name, version) if url and _EXACT.fullmatch(version) else None


def fetch(repository: Repository, chart: RemoteChart, digest: str = "") -> str | None:
    """Fetch a chart, in 15 s at most, unless it was fetched before.

    Args:
        repository: where the copy is kept.
        chart: the chart.
        digest: SHA-256 that its archive has to have, as sha256:…; empty where none is recorded.

    Returns:
        Why it cannot be fetched, as one line, or None if it is there.

    Raises:
        HarnessError: helm cannot be built.
    """
    if chart.copy(repository):
        return None
    folder = chart.folder(repository)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        argv: list[str | Path] = [tools.find(repository, "helm"), "pull", *_pull_arguments(chart)]
        argv += ["--destination", f"{scratch}/chart"]
        Path(scratch, "chart").mkdir()
        try:
            command.run(argv, timeout=_SECONDS, env=helm.isolated_home(scratch))
        except command.CommandError as error:
            return error.message.splitlines()[-1].removeprefix("Error: ")
        for archive in Path(scratch, "chart").glob("*.tgz"):
            received = f"sha256:{hashlib.sha256(archive.read_bytes()).hexdigest()}"
            if digest not in ("", received):
                return f"its archive is {received}, not the recorded {digest}"
        # Another command may have been faster: what it left is the same.
        with contextlib.suppress(OSError):
            Path(scratch, "chart").rename(folder)
    return None


def _pull_arguments(chart: RemoteChart) -> list[str]:
    if chart.name:
        return [chart.name, "--repo", chart.url, "--version", chart.version]
    if chart.version.startswith("sha256:"):
        return [f"{chart.url}@{chart.version}"]
    return [chart.url, "--version", chart.version]


def _leaves(value: object, path: KeyPath) -> Iterator[tuple[KeyPath, object]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    else:
        yield path, value


def _shared_suffix(one: KeyPath, other: KeyPath) -> int:
    """How many of their last keys two paths share."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
