"""The rules for error budgets: the workbook's windows, and something said of every SLO."""

import json
import re

import pytest
import yaml

from harness.burn_rate import indicators, rules
from harness.burn_rate.indicators import Indicator
from harness.core.repository import Repository
from harness.core.values import items, text
from harness.launcher import config
from harness.loadtest.profile import Profile, load_profile
from harness.slo import ErrorBudget

CAT = {
    "mix": [{"model": "cat"}, {"request": {"name": "raw", "path": "/ping"}}],
    "stages": [{"kind": "hold", "seconds": 10, "rate": 5}],
    "slos": [
        {"of": "cat", "latency": {"p50": 60, "p95": 250, "p99": 400}, "firstByte": {"p99": 9}},
        {"of": "raw", "latency": {"p99": 400}, "errorRate": 0.01},
        {"errorRate": 0.001, "throughput": 5, "dropped": 0},
    ],
}


def profile(**changes: object) -> Profile:
    return Profile.model_validate_json(json.dumps({**CAT, **changes}))


@pytest.mark.parametrize(
    ("window", "fast", "slow"),
    [("30d", (14.4, 6), (3, 1)), ("28d", (13.44, 5.6), (2.8, 0.933333))],
)
def test_burn_rates_are_those_of_the_workbook(
    window: str, fast: tuple[float, ...], slow: tuple[float, ...]
) -> None:
    budget = ErrorBudget(window=window)
    assert tuple(each.rate(budget) for each in rules.FAST) == fast
    assert tuple(each.rate(budget) for each in rules.SLOW) == slow


def test_a_short_window_is_a_twelfth_of_its_long_one() -> None:
    minutes = {"m": 1, "h": 60, "d": 1440}
    for window in (*rules.FAST, *rules.SLOW):
        long, short = (int(each[:-1]) * minutes[each[-1]] for each in (window.long, window.short))
        assert (long, long) == (window.hours * 60, short * 12)


def test_every_limit_is_watched_or_says_why_not() -> None:
    limits = list(indicators.of(profile()))
    assert [each.name for each in limits if isinstance(each, Indicator)] == [
        "cat-p95",
        "cat-p99",
        "all-errors",
    ]
    assert [(each.limit, each.why) for each in limits if not isinstance(each, Indicator)] == [
        ("cat: p50 ≤ 60 ms", "so many requests may be slower that p50 has no budget"),
        ("cat: first byte p99 ≤ 9 ms", "no server counts it"),
        ("raw: p99 ≤ 400 ms", "the request's path names no model"),
        ("raw: error rate ≤ 0.01", "the request's path names no model"),
        ("all: throughput ≥ 5/s", "users decide how much they send"),
        ("all: dropped ≤ 0", "it is of the load generator"),
    ]
    comments = re.findall(r"^# (\S+: .+): ", rules.as_text("staging", profile()), re.MULTILINE)
    assert len(comments) == len(limits)


def test_a_budget_of_nothing_or_everything_does_not_burn() -> None:
    for rate in (0, 1):
        [limit] = indicators.of(profile(slos=[{"errorRate": rate}]))
        assert not isinstance(limit, Indicator)


def test_settings_reach_the_rules() -> None:
    written = rules.as_text("x", profile(errorBudget={"window": "7d", "minBad": 3}))
    assert "[7d]" in written
    assert ">= 3" in written
    assert "> 3.36 * slo:error_budget:ratio" in written


def test_a_profile_without_settings_keeps_its_digest() -> None:
    assert "errorBudget" not in profile().content


@pytest.mark.parametrize("env", ["production", "staging"])
def test_every_latency_that_is_asked_for_is_a_bound_of_the_servers(
    checkout: Repository, env: str
) -> None:
    bounds = config.read(checkout.group(env) / "config.properties").latency_bounds
    rule = yaml.safe_load((checkout.root / rules.FOLDER / env / "prometheusrule.yaml").read_text())
    queried = {
        float(bound)
        for group in items(rule, "spec", "groups")
        for each in items(group, "rules")
        for bound in re.findall(r'le="([^"]+)"', text(each, "expr"))
    }
    assert queried
    assert queried <= set(bounds)


def test_an_environment_without_monitoring_has_no_rules(checkout: Repository) -> None:
    assert load_profile(checkout.cluster("local") / "loadtest.yaml").slos
    assert rules.generate(checkout, "local") == {}
