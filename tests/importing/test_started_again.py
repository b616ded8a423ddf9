"""What an import writes, the real TorchServe starts with, and serves the same as before."""

import os
from pathlib import Path

import pytest

from tests.importing.forms import Form
from tests.importing.record import record
from tests.importing.test_round_trip import generate
from tests.importing.test_verdicts import FORMS, RECORDED, STARTS, described_keys, import_form

pytestmark = [
    pytest.mark.torchserve,
    pytest.mark.skipif(os.geteuid() != 0, reason="a network of its own takes root"),
]


def is_one_archive_a_model(name: str) -> bool:
    """Of a model in a folder, or of several versions, the import makes archives anew."""
    models = RECORDED[name]["models"].values()
    names = [entry["marName"] for each in models for entry in each.values()]
    return len(names) == len(models) > 0 and all(each.endswith(".mar") for each in names)


WITH_MODELS = list(filter(is_one_archive_a_model, STARTS))
A_FEW = WITH_MODELS[:: len(WITH_MODELS) // 3][:3]


@pytest.mark.parametrize("name", A_FEW)
def test_models_workers_and_limits_are_those_of_before(name: str, tmp_path: Path) -> None:
    form = FORMS[name]
    imported = import_form(form, tmp_path / "before")

    again = record(Form(name, generate(imported), form.archives))

    assert again["starts"], again
    before = record(form)
    assert _descriptions(again["models"]) == _descriptions(before["models"])


def _descriptions(models: dict[str, dict[str, dict[str, object]]]) -> dict[str, object]:
    return {
        f"{name} {version}": {key: entry[key] for key in described_keys() & entry.keys()}
        for name, versions in models.items()
        for version, entry in versions.items()
    }
