"""Prometheus' rules for the error budgets of an environment: multi-window, multi-burn-rate alerts.

Windows and thresholds are those of the Site Reliability Workbook, chapter 5, "Alerting on SLOs",
table 5-8 and its sixth way. A burn rate of 1 spends the whole budget in exactly the window, so a
share s of the budget for W hours is gone after h hours at a burn rate of s × W / h: for 30 days
14.4 (2 % in an hour), 6 (5 % in six), 3 (10 % in a day) and 1 (10 % in three). Each long window
has a short one of a twelfth, which ends the alert soon after the burning ends. Metrics have the
names that Sloth gives to its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from harness.burn_rate import indicators
from harness.burn_rate.indicators import Indicator, Unwatched
from harness.core import document
from harness.core.repository import Repository
from harness.core.values import items
from harness.loadtest.profile import Profile, load_profile
from harness.slo import ErrorBudget

FOLDER = "apps/torchserve/slos"
"""With a folder for each environment: its groups' folder is applied by another Kustomization."""
_MONITORING = "infra/monitoring"

_CATALOG = "https://raw.githubusercontent.com/datreeio/CRDs-catalog/main/monitoring.coreos.com"
_HEADER = f"""# yaml-language-server: $schema={_CATALOG}/prometheusrule_v1.json
# Written by `make snapshot` from clusters/{{env}}/loadtest.yaml, which is the file to change.
"""
_LISTING = """# yaml-language-server: $schema=https://json.schemastore.org/kustomization
# Written by `make snapshot`, as prometheusrule.yaml is.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - prometheusrule.yaml
"""
_RUNBOOKS = "${RUNBOOKS_URL:-docs/runbooks.md}"
_EVERY = 60  # seconds between two evaluations: how much time one recorded rate stands for

Rule = dict[str, object]


@dataclass(frozen=True, slots=True)
class Window:
    """A long window with its short one, and the share of the budget that is spent in it.

    Attributes:
        hours: of the long window.
    """

    long: str
    short: str
    hours: int
    share: float

    def rate(self, budget: ErrorBudget) -> float:
        """The burn rate that spends ``share`` of the budget in the long window."""
        return round(self.share * budget.days * 24 / self.hours, 6)


FAST = (Window("1h", "5m", 1, 0.02), Window("6h", "30m", 6, 0.05))
SLOW = (Window("1d", "2h", 24, 0.1), Window("3d", "6h", 72, 0.1))
_LENGTHS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")


def stale(repository: Repository, env: str) -> dict[Path, str]:
    """The generated files of an environment that are missing or old, and what they should hold.

    Raises:
        InputError: its loadtest.yaml cannot be read.
    """
    return document.stale(generate(repository, env))


def generate(repository: Repository, env: str) -> dict[Path, str]:
    """The files of an environment; none if it has no monitoring, or no load profile.

    Raises:
        InputError: its loadtest.yaml cannot be read.
    """
    profile = repository.cluster(env) / "loadtest.yaml"
    if not profile.is_file() or not _is_monitored(repository, env):
        return {}
    folder = repository.root / FOLDER / env
    return {
        folder / "kustomization.yaml": _LISTING,
        folder / "prometheusrule.yaml": as_text(env, load_profile(profile)),
    }


def orphans(repository: Repository) -> list[Path]:
    """The generated files of environments that are gone."""
    folder, names = repository.root / FOLDER, repository.environments
    return sorted(path for path in folder.glob("*/*.yaml") if path.parent.name not in names)


def as_text(env: str, profile: Profile) -> str:
    """The PrometheusRule of a profile, and in comments what became of each of its limits."""
    limits = list(indicators.of(profile))
    watched = [each for each in limits if isinstance(each, Indicator)]
    notes = [f"# {_note(each)}\n" for each in limits]
    value = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "slos", "namespace": "monitoring"},
        "spec": {"groups": groups(watched, profile.budget)},
    }
    body = yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True)
    return _HEADER.format(env=env) + "".join(notes) + body


def groups(watched: list[Indicator], budget: ErrorBudget) -> list[Rule]:
    """The groups of rules: what is counted for each SLO, and then the same for all of them."""
    if not watched:
        return []
    counted = [rule for each in watched for rule in _counts(each)]
    general = [*_ratios(), *_burn_alerts(budget), _no_figures()]
    return [
        {"name": "slos", "interval": f"{_EVERY}s", "rules": counted + general},
        {"name": "slo-budgets", "interval": "5m", "rules": [_remaining(budget)]},
    ]


def _note(each: Indicator | Unwatched) -> str:
    if isinstance(each, Indicator):
        return f"{each.limit}: SLO {each.name}, whose budget is {each.budget:g} of the requests"
    return f"{each.limit}: of the load test alone, since {each.why}"


def _counts(each: Indicator) -> Iterator[Rule]:
    labels = {"slo": each.name, "model_name": each.model or "all"}
    expressions = {
        "slo:requests:rate5m": each.requests,
        "slo:bad_requests:rate5m": each.bad,
        "slo:error_budget:ratio": f"vector({each.budget:g})",
    }
    for record, expression in expressions.items():
        yield {"record": record, "expr": expression, "labels": labels}


def _ratios() -> Iterator[Rule]:
    """The share of bad requests in each window: of the requests, so that quiet hours weigh less."""
    for length in _LENGTHS:
        bad, every = (
            name if length == "5m" else f"sum_over_time({name}[{length}])"
            for name in ("slo:bad_requests:rate5m", "slo:requests:rate5m")
        )
        yield {"record": f"slo:sli_error:ratio_rate{length}", "expr": f"{bad} / ({every} > 0)"}


def _remaining(budget: ErrorBudget) -> Rule:
    bad, every = (
        f"sum_over_time({name}[{budget.window}])"
        for name in ("slo:bad_requests:rate5m", "slo:requests:rate5m")
    )
    return {
        "record": "slo:period_error_budget_remaining:ratio",
        "expr": f"1 - {bad} / ({every} > 0) / slo:error_budget:ratio",
    }


def _burn_alerts(budget: ErrorBudget) -> Iterator[Rule]:
    for name, severity, windows, outcome in (
        ("SloBudgetBurnsFast", "page", FAST, "is gone within days"),
        ("SloBudgetBurnsSlowly", "ticket", SLOW, "will not last"),
    ):
        yield _alert(
            name,
            severity,
            "\nor\n".join(_burning(window, budget) for window in windows),
            "{{ $value | humanizePercentage }} of the requests of {{ $labels.slo }} are bad: "
            f"its error budget {outcome}",
        )


def _burning(window: Window, budget: ErrorBudget) -> str:
    """Both windows burn, and enough requests are bad to mean something."""
    limit = f"{window.rate(budget):g} * slo:error_budget:ratio"
    enough = f"sum_over_time(slo:bad_requests:rate5m[{window.long}]) * {_EVERY}"
    return (
        f"slo:sli_error:ratio_rate{window.long} > {limit}\n"
        f"and slo:sli_error:ratio_rate{window.short} > {limit}\n"
        f"and {enough} >= {budget.min_bad}"
    )


def _no_figures() -> Rule:
    """Servers older than the limit have no such bound, and nothing would burn."""
    return _alert(
        "SloNotMeasured",
        "ticket",
        "slo:requests:rate5m > 0 unless slo:bad_requests:rate5m",
        "{{ $labels.slo }} has requests, and no metric counts the bad ones",
        lasting="15m",
    )


def _alert(name: str, severity: str, expression: str, summary: str, lasting: str = "") -> Rule:
    return {
        "alert": name,
        "expr": expression,
        **({"for": lasting} if lasting else {}),
        "labels": {"severity": severity},
        "annotations": {"summary": summary, "runbook_url": f"{_RUNBOOKS}#{name.lower()}"},
    }


def _is_monitored(repository: Repository, env: str) -> bool:
    """Whether the environment has the component whose Prometheus takes the rules."""
    path = repository.app(env) / "kustomization.yaml"
    documents = document.parse(document.read_text(path), path) if path.is_file() else []
    resources = [str(name) for each in documents for name in items(each.value, "resources")]
    return any(name.endswith(_MONITORING) for name in resources)


class _Dumper(yaml.SafeDumper):
    """Texts of several lines stand as such; nothing is an alias of something else."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
