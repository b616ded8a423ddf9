"""What Prometheus says of the environment that proves releases, as it was at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.core.errors import HarnessError
from harness.prometheus import live
from harness.prometheus.client import Prometheus

_PAGE = "page"


@dataclass(frozen=True, slots=True)
class Health:
    """Alerts that wake somebody, and error budgets.

    Attributes:
        pages: the alerts of severity ``page`` that fire, each with its text.
        budgets: what is left of each SLO's error budget, 1 being all of it; None if nothing was
            requested in its window.
        unread: why Prometheus could not be asked, or "" if it was.
    """

    pages: tuple[str, ...] = ()
    budgets: Mapping[str, float | None] = field(default_factory=dict)
    unread: str = ""


def observe(prometheus: Prometheus) -> Health:
    """Ask Prometheus; what it does not answer is the record's to say."""
    try:
        firing = prometheus.firing()
        budgets = live.budgets(prometheus)
    except HarnessError as error:
        return Health(unread=error.message)
    return Health(tuple(str(each) for each in firing if each.severity == _PAGE), budgets)
