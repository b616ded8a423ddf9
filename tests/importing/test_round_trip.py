"""A generated configuration, imported and generated again, starts the same."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.importing import keys, merge, outcome, properties_file, startup
from harness.importing.outcome import Imported
from harness.models.catalog import Catalog, Model
from harness.models.lock import Lock, unset
from harness.snapshot import config, properties
from harness.snapshot.model_snapshot import ModelSnapshot
from harness.snapshot.server import FIELDS, ServerSettings
from harness.snapshot.serving import ServingSettings
from tests.importing.conftest import LIKE
from tests.snapshot.cases import AT_LEAST_ONE_MODEL

# What an import carries: what the launcher or an exporter does instead is not among it.
NOT_CARRIED = {"metric_time_interval", "system_metrics_cmd", "install_py_dep_per_model"}
NOT_CARRIED |= {"cpp_log_config", "metrics_config"}
TEXT = st.text(st.characters(codec="latin-1", exclude_characters="\0$"), min_size=1, max_size=12)
SAMPLES = {"boolean": st.booleans(), "integer": st.integers(1, 100), "string": TEXT}
SCHEMAS = ServerSettings.model_json_schema()["properties"]


def kind(alias: str) -> str:
    """The JSON type of an optional setting."""
    return SCHEMAS[alias]["anyOf"][0]["type"]


SERVERS = st.fixed_dictionaries(
    {"numberOfGpu": st.integers(0, 8), "jobQueueSize": st.integers(1, 99)}
    | {"numberOfNettyThreads": st.integers(0, 8)},
    optional={
        alias: SAMPLES[kind(alias)]
        for alias, name in FIELDS.items()
        if name not in NOT_CARRIED and not ServerSettings.model_fields[name].is_required()
        if name != "blacklist_env_vars"
    },
)


SYNTAX = st.text("{}[]\"',:=\\ \t\r\n#!$aé0", max_size=20)
ENTRIES = st.lists(st.tuples(st.sampled_from(sorted(keys.KNOWN)), SYNTAX), max_size=4)


@given(ENTRIES)
@settings(max_examples=60, deadline=None)
def test_no_text_breaks_the_reader(pairs: list[tuple[str, str]]) -> None:
    text = "\n".join(f"{key}={value}" for key, value in pairs)

    imported = imported_from(text)

    assert all(each.at == "" or "config.properties:" in each.at for each in imported.keys)


def imported_from(text: str) -> Imported:
    configuration = merge.merge([properties_file.parse(text, Path("config.properties"))])
    started = startup.of(configuration, None, None)
    return outcome.of(configuration, started, LIKE, None)


def generate(imported: Imported) -> str:
    models = {
        name: Model.model_validate(
            {
                "name": name,
                "version": each.version,
                "description": "round trip",
                "artifact": {"adopted": {"archive": each.entry.mar_name}},
            }
        )
        for name, each in imported.models.items()
    }
    lock = {
        name: unset(name, each.version, each.entry.mar_name)
        for name, each in imported.models.items()
    }
    served = ServingSettings.model_validate(
        {
            "server": imported.server,
            "models": {
                name: each.entry.model_dump(
                    by_alias=True,
                    exclude={"default_version", "mar_name", "runtime_type", "parallel_level"},
                )
                for name, each in imported.models.items()
            },
        }
    )
    return config.build("t", Catalog(models=models), Lock(models=lock), served).config_properties()


def started_by(text: str) -> tuple[dict[str, str], ModelSnapshot]:
    values = properties.parse(text)
    return values, ModelSnapshot.model_validate_json(values.pop("model_snapshot"))


def all_versions(snapshot: ModelSnapshot) -> list[tuple[str, str, dict[str, object]]]:
    """Every version, without what stands in its archive."""
    return sorted(
        (name, version, entry.model_dump(exclude={"parallel_level"}))
        for name, version, entry in snapshot.entries()
    )


@given(AT_LEAST_ONE_MODEL, SERVERS)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_models_workers_and_limits_are_the_same_again(
    models: ModelSnapshot, server: dict[str, object]
) -> None:
    settings_ = ServerSettings.model_validate(server).config_properties()
    snapshot = models.model_dump_json(by_alias=True, exclude_none=True)
    text = properties.dump({**config.CONTAINER, **config.SWITCHES, **settings_})
    text += properties.dump({"model_snapshot": snapshot})

    imported = imported_from(text)

    assert imported.refused == ()
    values, snapshot_again = started_by(generate(imported))
    assert {key: values.get(key) for key in settings_} == settings_
    assert all_versions(snapshot_again) == all_versions(models)
