"""A model's ``config``: whatever people write into model-config.yaml can be said in model.yaml."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import InputError
from harness.models import config_keys
from harness.models.catalog import load_model
from harness.models.config import Config

FORMS = yaml.safe_load(
    (Path(__file__).parents[1] / "testdata" / "model-config" / "forms.yaml").read_text()
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def test_all_of_upstreams_forms_are_there():
    assert len(FORMS) == 52


@pytest.mark.parametrize("name", FORMS)
def test_each_form_of_upstream_passes_whole(name):
    config = Config.model_validate_json(json.dumps(FORMS[name]))
    assert {**config.archive_settings(), **config.workers()} == FORMS[name]


def test_of_upstreams_keys_only_the_misspelt_one_is_named():
    unknown = [message for form in FORMS.values() for _, message in config_keys.unknown(form)]
    (message,) = unknown
    assert message.startswith("BatchSize: only a handler of your own can read it")
    assert message.endswith("did you mean batchSize?")


@given(st.dictionaries(st.text(min_size=1), anything, max_size=4))
def test_any_other_key_passes_as_it_is(handler):
    config = Config.model_validate({"own": handler, "handler": handler})
    assert config.archive_settings() == {"own": handler, "handler": handler}


def test_the_known_keys_are_those_that_are_checked():
    checked = {field.alias or name for name, field in Config.model_fields.items()}
    assert checked == {*config_keys.WORKERS, *config_keys.FRONTEND, *config_keys.HANDLERS}


def test_worker_settings_go_to_serving_and_not_into_the_archive(edit: Callable[[str, str], Path]):
    lines = "config: {maxBatchDelay: 0, batchSize: 4, pt2: openvino}\nserving: {responseTimeout: 9}"
    model = load_model(edit("handler: handler.py", f"handler: handler.py\n{lines}"))
    serving = model.serving
    assert (serving.max_batch_delay, serving.batch_size, serving.response_timeout) == (0, 4, 9)
    assert model.config.archive_settings() == {"pt2": "openvino"}


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("{deviceType: tpu}", "11: config.deviceType: 'tpu' is none of cpu, gpu"),
        ("{jobQueueSize: many}", "11: config.jobQueueSize: 'many' is not a whole number"),
        ("{torchrun: {nproc-per-node: '4'}}", "11: config.torchrun.nproc-per-node: '4' is not"),
        ("{pt2: {compile: {backend: inductor}}}", "11: config.pt2.compile.enable is missing"),
        ("{pippy: {chunks: 1}}", "11: config.pippy.rpc_timeout is missing"),
        ("{minWorkers: 3}", "minWorkers 3 > maxWorkers 1"),
        ("{batchSize: 3}\nserving: {batchSize: 4}", "config.batchSize 3, serving.batchSize 4: say"),
    ],
)
def test_a_value_that_torchserve_would_ignore_or_fail_on_is_refused(edit, config, says):
    path = edit("handler: handler.py", f"handler: handler.py\nconfig: {config}")
    with pytest.raises(InputError) as caught:
        load_model(path)
    assert says in str(caught.value)
