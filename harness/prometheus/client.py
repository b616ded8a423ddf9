"""Prometheus' HTTP API (``/api/v1``), over whatever reaches it.

prometheus = Prometheus(get)    # get(path) returns the text at a path
prometheus.query("up")
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.core.document import ModelT
from harness.core.errors import HarnessError

NAMESPACE = "monitoring"
POD = "prometheus-kube-prometheus-stack-prometheus-0"
"""The first pod of kube-prometheus-stack's Prometheus, as its operator names it
(prometheus-<name of the Prometheus>-<number>).
"""
PORT = 9090


class PrometheusError(HarnessError):
    """Prometheus cannot be asked, or does not understand the question."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an instant query."""

    labels: Mapping[str, str]
    value: float


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Alert(_Answer):
    """An alert, by its labels and its text.

    Attributes:
        state: ``pending`` or ``firing``.
    """

    labels: Mapping[str, str]
    annotations: Mapping[str, str] = Field(default_factory=dict)
    state: str

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")

    @property
    def severity(self) -> str:
        """What the rule calls it: ``page`` or ``ticket`` of ours, others of others."""
        return self.labels.get("severity", "")

    def __str__(self) -> str:
        summary = self.annotations.get("summary", "")
        return f"{self.name}: {summary}" if summary else self.name


class _Series(_Answer):
    metric: Mapping[str, str]
    value: tuple[float, Annotated[str, Field(min_length=1)]]


class _Vector(_Answer):
    result: Sequence[_Series]


class _Alerts(_Answer):
    alerts: Sequence[Alert]


class _Queried(_Answer):
    data: _Vector


class _Listed(_Answer):
    data: _Alerts


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One Prometheus.

    Attributes:
        get: the text at a path, such as ``/api/v1/alerts``; raises HarnessError.
    """

    get: Callable[[str], str]

    def query(self, expression: str) -> list[Sample]:
        """The result of an instant query, without what is not a number.

        Raises:
            PrometheusError: it cannot be reached, or refuses the expression.
        """
        path = f"/api/v1/query?{urlencode({'query': expression})}"
        series = self._ask(path, _Queried).data.result
        samples = [Sample(each.metric, float(each.value[1])) for each in series]
        return [each for each in samples if math.isfinite(each.value)]

    def firing(self) -> list[Alert]:
        """The alerts that fire, by name.

        Raises:
            PrometheusError: it cannot be reached.
        """
        alerts = self._ask("/api/v1/alerts", _Listed).data.alerts
        return sorted((each for each in alerts if each.state == "firing"), key=str)

    def federate(self, names: str) -> str:
        """The newest sample of each series whose name matches, as ``/metrics`` would show it.

        Args:
            names: a regular expression.

        Raises:
            HarnessError: it cannot be reached.
        """
        return self.get("/federate?" + urlencode({"match[]": f'{{__name__=~"{names}"}}'}))

    def _ask(self, path: str, model: type[ModelT]) -> ModelT:
        try:
            return model.model_validate(json.loads(self.get(path)))
        except (ValueError, ValidationError) as error:
            first = str(error).splitlines()[0]
            raise PrometheusError(f"{path} is not answered as Prometheus does: {first}") from error
