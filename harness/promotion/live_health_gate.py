"""The gate ``live health``: no page fires where the release is proved, and error budget is left."""

from harness.promotion.gate_error import GateError, first_of
from harness.promotion.gate_inputs import GateInputs


def evaluate(inputs: GateInputs) -> str:
    """What Prometheus said. What it did not say is not a pass.

    Raises:
        GateError: a page fires, a budget is spent, or that could not be evaluated.
    """
    required, health = inputs.gates.live_health, inputs.running.health
    if required is None:
        return f"not required: clusters/{inputs.target}/promotion.yaml has no liveHealth"
    if health is None:
        raise GateError(
            "the state has no record of what Prometheus says",
            "read it again: harness release observe --save-state FILE",
        )
    see = f"harness status --live --env {inputs.source}"
    if health.unread:
        raise GateError(f"could not evaluate: {health.unread}", see)
    if health.pages:
        raise GateError(
            f"fires in {inputs.source}: {first_of(health.pages)}",
            "docs/runbooks.md says what to do; promote when it has resolved",
        )
    left = {slo: each for slo, each in health.budgets.items() if each is not None}
    if not left or len(left) < len(health.budgets):
        silent = sorted(set(health.budgets) - set(left))
        what = f"no requests of {first_of(silent)} yet" if silent else "no SLO is watched"
        raise GateError(f"could not evaluate: {what} in {inputs.source}", see)
    if spent := [
        f"{slo} has {each:.1%} of its error budget left, {required.budget_left:.1%} are required"
        for slo, each in left.items()
        if each < required.budget_left
    ]:
        raise GateError(first_of(spent), f"{see}; repair it, or wait for the window to move on")
    least = min(left, key=lambda slo: left[slo])
    return f"no page fires; of the error budgets at least {left[least]:.1%} is left ({least})"
