"""What TorchServe 0.12 starts with imports as it starts; what it refuses is refused too.

Its verdicts were recorded once, by the real one: ``record.py``.
"""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.importing.outcome import Imported
from harness.importing.startup import Started
from tests.importing.conftest import import_
from tests.importing.field_forms import every
from tests.importing.forms import Form
from tests.importing.record import CORES, VERDICTS

FORMS = {form.name: form for form in every()}
RECORDED = json.loads(VERDICTS.read_text())
STARTS = sorted(name for name, verdict in RECORDED.items() if verdict["starts"])
REFUSED = sorted(RECORDED.keys() - set(STARTS))
ON_THE_OLD_MACHINE = {"certificate-missing", "keystore-missing"}
"""Files that the gateway replaces: whether they were there cannot be known, nor does it matter."""


def import_form(form: Form, folder: Path) -> Imported:
    path = form.write(folder)
    variables = [f"{name}={value}" for name, value in form.variables.items()]
    return import_(path, *variables, store=folder / "store", workers=CORES)


def description(model: Started) -> dict[str, object]:
    entry = model.entry.model_dump(by_alias=True)
    return {key: entry[key] for key in entry if key in described_keys()}


def every_version(imported: Imported) -> Iterator[Started]:
    yield from imported.models.values()
    yield from itertools.chain.from_iterable(imported.others.values())


def test_every_form_was_tried() -> None:
    assert FORMS.keys() == RECORDED.keys()


@pytest.mark.parametrize("name", STARTS)
def test_what_torchserve_starts_with_imports_with_its_models(name: str, tmp_path: Path) -> None:
    imported = import_form(FORMS[name], tmp_path)

    assert imported.refused == ()
    recorded = {
        (model, version): {key: value for key, value in entry.items() if key in described_keys()}
        for model, versions in RECORDED[name]["models"].items()
        for version, entry in versions.items()
    }
    for entry in recorded.values():  # fewer at most than at least: those at least are started
        entry["maxWorkers"] = max(entry["minWorkers"], entry["maxWorkers"])
    models = {(each.name, each.version): description(each) for each in every_version(imported)}
    # Of a server that starts empty, what it has declared, or its store holds, is served.
    assert models == recorded or not recorded


def described_keys() -> set[str]:
    return {
        *("marName", "minWorkers", "maxWorkers", "batchSize", "maxBatchDelay"),
        *("responseTimeout", "startupTimeout"),
    }


@pytest.mark.parametrize("name", REFUSED)
def test_what_torchserve_refuses_is_refused(name: str, tmp_path: Path) -> None:
    imported = import_form(FORMS[name], tmp_path)

    assert imported.problems or name in ON_THE_OLD_MACHINE, RECORDED[name]["cause"]
