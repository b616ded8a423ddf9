"""docs/promotion.md says what there is."""

import re

import pytest

from harness.attestation.record import Evidence
from harness.core.repository import Repository
from harness.promotion import evaluation
from harness.settings.gates import Gates
from tests.promotion.cases import gate_inputs


@pytest.fixture
def page(checkout: Repository) -> str:
    return (checkout.root / "docs" / "promotion.md").read_text()


def _rows(page: str, heading: str) -> list[str]:
    """The first column of the table under a heading."""
    section = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| (`[^|]+`) \|", section, re.MULTILINE)


def _names(rows: list[str]) -> list[str]:
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def test_every_gate_has_its_row_in_order(page: str) -> None:
    assert _names(_rows(page, "The gates")) == [
        gate.name for gate in evaluation.evaluate_gates(gate_inputs())
    ]


def test_every_key_of_promotion_yaml_has_its_row(page: str) -> None:
    keys = [field.alias or name for name, field in Gates.model_fields.items()]
    assert _names(_rows(page, "clusters/production/promotion.yaml")) == keys


def test_every_key_of_the_evidence_has_its_row(page: str) -> None:
    assert set(_names(_rows(page, "The evidence"))) == set(Evidence.model_fields)
