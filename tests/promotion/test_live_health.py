"""The gate ``live health``: what Prometheus says of staging decides, and silence is not a pass."""

import pytest

from harness.promotion import evaluation
from harness.promotion.gate_inputs import GateInputs
from harness.promotion.live_health import Health
from tests.promotion.cases import gate_inputs, gates, running

NAME = "live health"


def inputs(health: Health | None) -> GateInputs:
    """A promotion that asks for a tenth of each budget."""
    required = gates(liveHealth={"budgetLeft": 0.1})
    return gate_inputs(gates=required, running=running(health=health))


REFUSALS = {
    "it was not read": (None, "no record of what Prometheus says"),
    "a page fires": (
        Health(pages=("SloBudgetBurnsFast: 2 % are bad",), budgets={"all-errors": 1.0}),
        "fires in staging: SloBudgetBurnsFast: 2 % are bad",
    ),
    "a budget is nearly spent": (
        Health(budgets={"all-errors": 0.05, "cat-p99": 0.5}),
        "all-errors has 5.0% of its error budget left, 10.0% are required",
    ),
    "Prometheus does not answer": (
        Health(unread="Prometheus does not answer"),
        "could not evaluate: Prometheus does not answer",
    ),
    "an SLO has no requests": (
        Health(budgets={"all-errors": 1.0, "cat-p99": None}),
        "could not evaluate: no requests of cat-p99 yet in staging",
    ),
    "no SLO is watched": (Health(), "could not evaluate: no SLO is watched in staging"),
}


@pytest.mark.parametrize(("health", "reason"), REFUSALS.values(), ids=REFUSALS.keys())
def test_what_is_not_known_to_be_healthy_is_refused(health: Health | None, reason: str) -> None:
    [gate] = [each for each in evaluation.evaluate_gates(inputs(health)) if not each.passed]
    assert gate.name == NAME
    assert reason in gate.found
    assert gate.hint


def test_a_healthy_environment_passes_and_says_what_is_left() -> None:
    healthy = inputs(Health(budgets={"all-errors": 0.971, "cat-p99": 1.0}))
    passed = {gate.name: gate.found for gate in evaluation.evaluate_gates(healthy) if gate.passed}
    assert passed[NAME] == (
        "no page fires; of the error budgets at least 97.1% is left (all-errors)"
    )


def test_it_is_not_asked_for_by_default() -> None:
    passed = {gate.name: gate.found for gate in evaluation.evaluate_gates(gate_inputs())}
    assert passed[NAME].startswith("not required")
