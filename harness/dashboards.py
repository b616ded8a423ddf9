"""Dashboards: what people write of one (infra/monitoring/dashboards), and Grafana's own JSON of it.

    title: serving
    about: What the servers do
    rows:
      - title: Requests
        panels:
          - title: Failures
            about: Share of responses that are 5xx
            unit: percentunit
            queries: [{expr: "…", legend: "{{model_name}}"}]

A file of 15 panels is 500 lines of JSON, most of them the same in every panel. Grafana's library
for this (grafana-foundation-sdk) knew no version after 11.6 when this was written.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from harness.core import document
from harness.core.document import Camel

SOURCES = "infra/monitoring/dashboards"
JSON_FOLDER = "infra/monitoring/configs/dashboards"
_TAG = "torchserve"  # by which the dashboards find each other
_WIDTH, _HEIGHT, _COLUMNS = 8, 8, 3  # of a panel, in Grafana's units: 24 are a page's width
_DATASOURCE = {"type": "prometheus", "uid": "$datasource"}
_RUNBOOKS = "${RUNBOOKS_URL:-docs/runbooks.md}"  # Flux fills it in, as in the alerts
_PRICE = "${GPU_NODE_HOUR_USD:-UNSET}"


class Query(Camel):
    """A query, and what its series are called: ``{{label}}`` is a label's value."""

    expr: str
    legend: str = ""


class Panel(Camel):
    """One picture.

    Attributes:
        about: what it shows, in a sentence.
        unit: one of Grafana's own units: reqps, percentunit, s, bytes, short …
        kind: lines over time, or what is true now as a table.
        runbook: the alert that judges the same figures; its runbook is linked.
    """

    title: str
    about: str
    unit: str = "short"
    queries: tuple[Query, ...]
    kind: Literal["timeseries", "table"] = "timeseries"
    runbook: str = ""


class Row(Camel):
    """Panels under one title; ``simulated`` names the exporter that only a sample plays."""

    title: str
    panels: tuple[Panel, ...]
    simulated: str = ""

    @property
    def heading(self) -> str:
        return f"{self.title} (simulated)" if self.simulated else self.title

    def description(self, panel: Panel) -> str:
        """What a panel shows, and that its query has never met the exporter itself."""
        if not self.simulated:
            return panel.about
        sample = f"tested on a sample of what {self.simulated} says, never on it"
        return f"{panel.about}. Simulated: {sample}"


class Dashboard(Camel):
    """A dashboard as people write it."""

    title: str
    about: str
    rows: tuple[Row, ...]

    def queries(self) -> Iterator[tuple[Panel, Query]]:
        """Every query, with the panel that it is of."""
        for row in self.rows:
            for panel in row.panels:
                yield from ((panel, query) for query in panel.queries)


def load_all(root: Path) -> Mapping[str, Dashboard]:
    """Every dashboard of a repository, by the name of its file.

    Raises:
        InputError: a file is not a dashboard.
    """
    files = sorted((root / SOURCES).glob("*.yaml"))
    return {path.stem: document.load(path, Dashboard) for path in files}


def generate(root: Path) -> Mapping[Path, str]:
    """What Grafana's files must hold, by their path."""
    return {
        root / JSON_FOLDER / f"{name}.json": as_json(name, dashboard)
        for name, dashboard in load_all(root).items()
    }


def as_json(name: str, dashboard: Dashboard) -> str:
    """Grafana's own form of a dashboard.

    Source: https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
    """
    content = {
        "uid": f"{_TAG}-{name}",
        "title": f"TorchServe: {dashboard.title}",
        "description": dashboard.about,
        "tags": [_TAG],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": list(_variables(dashboard))},
        "links": [_OTHERS],
        "panels": list(_panels(dashboard)),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


_OTHERS = {
    "type": "dashboards",
    "title": "TorchServe",
    "tags": [_TAG],
    "asDropdown": True,
    "includeVars": True,
    "keepTime": True,
}


def _variables(dashboard: Dashboard) -> Iterator[Mapping[str, object]]:
    """What a reader chooses at the top: the environment, and what some query asks for."""
    text = " ".join(query.expr for _, query in dashboard.queries())
    yield {
        "name": "datasource",
        "type": "datasource",
        "query": "prometheus",
        "label": "Environment",
    }
    if "$group" in text:
        yield _choice("group", "Group", "label_values(launcher_torchserve_up, group)")
    if "$model" in text:
        query = 'label_values(launcher_workers{group=~"$group"}, model_name)'
        yield _choice("model", "Model", query)
    if "$price" in text:
        yield {
            "name": "price",
            "type": "textbox",
            "label": "USD per node and hour",
            "query": _PRICE,
            "current": {"text": _PRICE, "value": _PRICE},
        }


def _choice(name: str, label: str, query: str) -> Mapping[str, object]:
    return {
        "name": name,
        "type": "query",
        "label": label,
        "datasource": _DATASOURCE,
        "query": query,
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
    }


def _panels(dashboard: Dashboard) -> Iterator[Mapping[str, object]]:
    """Rows one below the other, of three panels each."""
    identifier, top = 1, 0
    for row in dashboard.rows:
        place = {"h": 1, "w": 24, "x": 0, "y": top}
        yield {"id": identifier, "type": "row", "title": row.heading, "gridPos": place}
        identifier, top = identifier + 1, top + 1
        for index, panel in enumerate(row.panels):
            x, y = _WIDTH * (index % _COLUMNS), top + _HEIGHT * (index // _COLUMNS)
            place = {"h": _HEIGHT, "w": _WIDTH, "x": x, "y": y}
            yield {"id": identifier, "gridPos": place, **_panel(row, panel)}
            identifier += 1
        top += _HEIGHT * -(-len(row.panels) // _COLUMNS)


def _panel(row: Row, panel: Panel) -> Mapping[str, object]:
    is_table = panel.kind == "table"
    shown = {"displayMode": "list", "placement": "bottom"}
    lines = {"legend": shown, "tooltip": {"mode": "multi"}}
    runbook = {"title": "Runbook", "url": f"{_RUNBOOKS}#{panel.runbook.lower()}"}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": row.description(panel),
        "datasource": _DATASOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"showHeader": True} if is_table else lines,
        "links": [{**runbook, "targetBlank": True}] if panel.runbook else [],
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "expr": query.expr,
                "legendFormat": query.legend,
                **({"format": "table", "instant": True} if is_table else {}),
            }
            for index, query in enumerate(panel.queries)
        ],
    }
