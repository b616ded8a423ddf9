"""What a profile may say, and how it is refused: file, line, and the nearest right word."""

from pathlib import Path

import pytest

from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.loadtest import load_profile
from tests.loadtest.cases import profile

GOOD = """\
mix:
  - model: squeezenet1_1
stages:
  - kind: hold
    seconds: 30
    rate: 20
"""

FAULTS = {
    "misspelt-key": (GOOD + "timout: 3\n", ":7: timout: unknown key; did you mean timeout?"),
    "unknown-stage": (GOOD.replace("hold", "hodl"), ":4: stages.0"),
    "key-of-stage": (
        GOOD.replace("seconds", "second"),
        "second: unknown key; did you mean seconds?",
    ),
    "no-level": (GOOD.replace("    rate: 20\n", ""), "either a rate"),
    "two-levels": (GOOD + "    users: 3\n", "either a rate"),
    "users-in-open-loop": (GOOD.replace("rate", "users"), "poisson has no users"),
    "rate-in-closed-loop": (GOOD + "arrivals: closed\n", "closed has no rate"),
    "nothing-judged": (GOOD.replace("hold", "warm-up"), "no stage is judged"),
    "model-twice": (
        GOOD.replace("stages", "  - model: squeezenet1_1\nstages"),
        "duplicate names in the mix",
    ),
    "slo-of-nothing": (
        GOOD + "slos:\n  - of: squeeze\n    errorRate: 0\n",
        "the mix lacks: squeeze",
    ),
    "unknown-percentile": (GOOD + "slos:\n  - latency: {p98: 5}\n", "slos.0.latency"),
    "auth-from-nowhere": (GOOD + "auth: {header: X-Key}\n", "either env"),
    "header-injection": (
        GOOD.replace("model: squeezenet1_1", 'request: {name: a, path: /a, headers: {X: "1\\n2"}}'),
        "mix.0.request.headers",
    ),
    "path-injection": (
        GOOD.replace("model: squeezenet1_1", 'request: {name: a, path: "/a b"}'),
        "mix.0.request.path",
    ),
    "raw-request-over-grpc": (
        GOOD.replace("model: squeezenet1_1", "request: {name: a, path: /a}") + "protocol: grpc\n",
        "by gRPC a path is /predictions/NAME",
    ),
}


@pytest.mark.parametrize(("text", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_contradictory_profile_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "loadtest.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as refusal:
        load_profile(path)
    assert message in str(refusal.value)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize("env", ["local", "staging", "production"])
def test_the_repositorys_own_profiles_are_right(checkout: Repository, env: str) -> None:
    loaded = load_profile(checkout.cluster(env) / "loadtest.yaml")
    assert any(slo.latency for slo in loaded.slos)


def test_a_staircase_reaches_its_last_level() -> None:
    load = profile(stages=[{"kind": "step", "seconds": 30, "from": 10, "to": 40, "steps": 4}])
    assert load.stages[0].levels() == [(7.5, rate, rate) for rate in (10, 20, 30, 40)]


def test_a_spike_is_the_middle_third() -> None:
    load = profile(stages=[{"kind": "spike", "seconds": 30, "rate": 5, "peak": 50}])
    assert load.stages[0].levels() == [(10, 5, 5), (10, 50, 50), (10, 5, 5)]


def test_a_group_gets_its_models_share_of_the_load() -> None:
    whole = profile(
        mix=[{"model": "cat", "weight": 3}, {"model": "dog"}],
        stages=[{"kind": "spike", "seconds": 3, "rate": 4, "peak": 8}],
        slos=[{"throughput": 4}, {"of": "dog", "errorRate": 0}],
    )
    cats = whole.of_models(["cat"])
    assert [entry.name for entry in cats.mix] == ["cat"]
    assert [level for _, level, _ in cats.stages[0].levels()] == [3, 6, 3]
    assert [(slo.of, slo.throughput) for slo in cats.slos] == [(None, 3)]
    with pytest.raises(InputError, match="the mix names none of cow"):
        whole.of_models(["cow"])
