"""One load test, from a profile to its report."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.loadtest.profile import Profile
from harness.loadtest.report import Report
from harness.loadtest.target import Target


def run(
    profile: Profile,
    target: Target,
    samples: Mapping[str, Sequence[object]],
    out_dir: Path,
    *,
    processes: int = 1,
) -> Report:
    """Put ``profile`` on ``target`` and write report.json, report.html and report.junit.xml."""
    raise NotImplementedError
