"""A report held against the SLOs of another profile: would what staging proved do for production?

Every percentile is taken from the report's own histograms, with the confidence that the other
profile asks for, so that a limit which the report was never judged by is judged as strictly. Pure.
"""

from collections.abc import Iterator

from harness.loadtest import histogram, slo
from harness.loadtest.profile import Profile
from harness.loadtest.recording import Tally
from harness.loadtest.report import NamedPart, Report
from harness.loadtest.slo import Objective


def against(report: Report, profile: Profile) -> Iterator[Objective]:
    """Every limit of ``profile``, and what ``report`` says to it.

    A name that the report does not know has no request, so it meets nothing.
    """
    for each in profile.slos:
        tally = Tally()
        for part in report.mix:
            if each.of in (None, part.name):
                tally += _tally(part, report.judged_seconds)
        yield from slo.objectives(each, tally, report.judged_seconds, profile.judge.confidence)


def _tally(part: NamedPart, seconds: float) -> Tally:
    return Tally(
        due=part.requests + part.dropped,
        dropped=part.dropped,
        failures=part.failures,
        wrong=part.wrong_answers,
        answered=round(part.achieved_rps * seconds),
        response=histogram.decode(part.histogram),
    )
