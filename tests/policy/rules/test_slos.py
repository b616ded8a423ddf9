"""What rules assume of a load profile is what its model says."""

from harness.policy.rules.observability import slos
from harness.slo import ErrorBudget


def test_a_profile_without_a_window_has_the_models_own() -> None:
    assert ErrorBudget().window == slos.WINDOW
