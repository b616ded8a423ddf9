"""Dashboards are such as Grafana takes, and ask for figures that there are."""

import json
import re
from pathlib import Path

import pytest

from harness import dashboards
from harness.core.values import Value, dig, items, mapping, text
from tests.monitoring.exporters import SAMPLES, text_after
from tests.monitoring.test_alerts import ALERTS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / dashboards.JSON_FOLDER
DASHBOARDS = dashboards.load_all(ROOT)


def panels(name: str) -> list[Value]:
    """The panels of a dashboard as Grafana gets it, rows included."""
    return [mapping(each) for each in items(json.loads(_json(name)), "panels")]


def _json(name: str) -> str:
    return dashboards.as_json(name, DASHBOARDS[name])


def test_every_dashboard_is_among_those_that_grafana_gets() -> None:
    listing = (FOLDER.parent / "kustomization.yaml").read_text()
    assert re.findall(r"dashboards/(\S+)\.json", listing) == list(DASHBOARDS)
    assert sorted(each.stem for each in FOLDER.iterdir()) == list(DASHBOARDS)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_have_a_unit_a_sentence_a_query_and_a_place_of_their_own(name: str) -> None:
    places = {json.dumps(panel["gridPos"]) for panel in panels(name)}
    assert len(places) == len(panels(name))
    for panel in panels(name):
        if text(panel, "type") != "row":
            assert text(panel, "description")
            assert text(panel, "fieldConfig", "defaults", "unit")
            assert all(text(target, "expr") for target in items(panel, "targets"))


@pytest.mark.parametrize("name", DASHBOARDS)
def test_what_only_a_sample_plays_says_so_in_row_and_panel(name: str) -> None:
    simulated = False
    for panel in panels(name):
        if text(panel, "type") == "row":
            simulated = text(panel, "title").endswith(" (simulated)")
        else:
            queries = " ".join(text(target, "expr") for target in items(panel, "targets"))
            played = re.search(r"DCGM_|kube_|flux_|gotk_|controller_runtime", queries) is not None
            assert ("Simulated: " in text(panel, "description")) == simulated == played


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_runbook_that_is_linked_is_that_of_an_alert(name: str) -> None:
    linked = {panel.runbook for row in DASHBOARDS[name].rows for panel in row.panels} - {""}
    assert linked <= set(ALERTS)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_flux_fills_in_what_a_site_says_and_leaves_the_variables_of_grafana(name: str) -> None:
    assert set(re.findall(r"\$\{\w+", _json(name))) <= {"${RUNBOOKS_URL", "${GPU_NODE_HOUR_USD"}
    assert "$$" not in _json(name)


def test_every_variable_in_a_query_can_be_chosen() -> None:
    for name, dashboard in DASHBOARDS.items():
        choices = {text(each, "name") for each in items(json.loads(_json(name)), *_VARIABLES)}
        used = {
            each
            for _, query in dashboard.queries()
            for each in re.findall(r"\$(\w+)", query.expr)
            if not each.startswith("__")
        }
        assert used == choices - {"datasource"}


_VARIABLES = ("templating", "list")


def test_every_metric_of_the_servers_is_one_that_the_launcher_documents() -> None:
    documented = set(re.findall(r"launcher_\w+", (ROOT / "docs/launcher.md").read_text()))
    for dashboard in DASHBOARDS.values():
        for _, query in dashboard.queries():
            for metric in re.findall(r"launcher_\w+", query.expr):
                assert re.sub(r"_(bucket|count|sum)$", "", metric) in documented


def test_a_played_counter_grows_and_a_gauge_stays() -> None:
    sample = 'gained_total{a="1+1"} 10+0.5\nlevel{a="1"} 3\n'
    assert text_after(sample, 4) == 'gained_total{a="1+1"} 12.0\nlevel{a="1"} 3\n'


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.txt")), ids=lambda path: str(path.stem))
def test_the_origin_of_a_sample_is_said(sample: Path) -> None:
    assert f"| {sample.name} |" in (SAMPLES / "README.md").read_text()


def test_an_unknown_key_of_a_dashboard_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / dashboards.SOURCES
    folder.mkdir(parents=True)
    panel = "{title: a, about: b, querys: []}"
    (folder / "a.yaml").write_text(f"title: a\nabout: b\nrows: [{{title: r, panels: [{panel}]}}]\n")
    with pytest.raises(Exception, match="querys"):
        dashboards.load_all(tmp_path)


def test_the_price_is_unset_until_a_site_says_it() -> None:
    variables = items(json.loads(_json("cost")), *_VARIABLES)
    price = next(each for each in variables if text(each, "name") == "price")
    assert dig(price, "query") == "${GPU_NODE_HOUR_USD:-UNSET}"
