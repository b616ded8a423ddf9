"""Services of docker compose, and containers of docker run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import InputError
from harness.importing.keys import Outcome
from tests.importing.conftest import import_
from tests.importing.test_sources import CONFIG, row

Write = Callable[[str, str], Path]
CONFIGURED = CONFIG.replace("load_models=all", "load_models=m.mar")


@pytest.mark.parametrize(
    "service",
    [
        "{build: ./ts}",
        "{build: {context: ., dockerfile: ts/Dockerfile.dev, args: {TO: /c}}}",
        "{build: ./ts, image: team/served, command: [serve]}",
        "{image: pytorch/torchserve, volumes: ['./ts/c.cfg:/home/model-server/config.properties']}",
        (
            "{image: pytorch/torchserve, volumes: ['./ts:/x'], "
            "command: 'torchserve --ts-config ${WHERE:-/x}/c.cfg'}"
        ),
        (
            "{image: pytorch/torchserve, volumes: [{source: ./ts, target: /x}], "
            "command: [torchserve, --ts-config, /x/c.cfg]}"
        ),
    ],
)
def test_a_service_in_each_of_its_forms(write: Write, service: str) -> None:
    write("ts/c.cfg", CONFIGURED)
    write("ts/Dockerfile", "FROM pytorch/torchserve\nCOPY c.cfg config.properties\n")
    text = "FROM x\nARG TO=/nowhere\nCOPY ts/c.cfg $TO/\nCMD torchserve --ts-config $TO/c.cfg\n"
    write("ts/Dockerfile.dev", text)

    imported = import_(write("compose.yaml", f"services: {{ts: {service}}}\n"))

    assert imported.refused == ()
    assert imported.server.job_queue_size == 7


def test_only_what_serves_is_scaled(write: Write) -> None:
    write("web/Dockerfile", "FROM nginx\n")
    path = write(
        "compose.yaml",
        "services:\n"
        "  web: {build: web, deploy: {replicas: 5}}\n"
        "  redis: {image: redis, deploy: {replicas: 4}}\n"
        "  ts:\n    image: pytorch/torchserve\n    mem_limit: 4g\n    shm_size: 2gb\n"
        "    deploy: {replicas: 2, placement: {}}\n",
    )

    imported = import_(path)

    assert row(imported, "replicas")[1].endswith("replicas: 2")
    assert "nodeSelector" in row(imported, "placement")[1]
    memory = {"memory": "4Gi"}
    assert imported.values == {
        "replicas": 2,
        "resources": {"requests": memory, "limits": memory},
        "sharedMemory": "2Gi",
    }


@pytest.mark.parametrize(
    "keys",
    [
        "gpus: 2",
        "environment: ['NVIDIA_VISIBLE_DEVICES=0,3']",
        "deploy: {resources: {reservations: {devices: [{driver: nvidia, device_ids: [0, 3]}]}}}",
        "deploy: {resources: {reservations: {devices: [{driver: nvidia, count: 2}]}}}",
    ],
)
def test_the_gpus_of_a_service(write: Write, keys: str) -> None:
    path = write("compose.yaml", f"services: {{ts: {{image: pytorch/torchserve, {keys}}}}}\n")

    assert import_(path).server.number_of_gpu == 2


def test_variables_of_files_and_defaults(write: Write) -> None:
    write("ts.env", "A=1\nHF_TOKEN=hf_secret\n")
    write(".env", "B=2\n")
    path = write(
        "compose.yaml",
        "services:\n  ts:\n    image: pytorch/torchserve\n    env_file: [ts.env, gone.env]\n"
        "    environment: {BB: '${B}', C: '${NO:-3}', D: $$E}\n    privileged: true\n",
    )

    imported = import_(path)

    assert imported.environment == {"A": "1", "BB": "2", "C": "3", "D": "$E"}
    assert "hf_secret" not in str(imported)
    assert row(imported, "env_file")[0] is Outcome.LOST
    assert row(imported, "privileged")[0] is Outcome.LOST


def test_options_of_docker_run_with_their_values_attached(write: Write) -> None:
    write("prod.cfg", CONFIGURED)
    write("ts.env", "OMP_NUM_THREADS=3\n")
    path = write(
        "run.sh",
        "docker run --rm -p8080:8080 --gpus '\"device=1,2\"' --shm-size 1g -m8g \\\n"
        "  -v ${PWD}/prod.cfg:/home/model-server/config.properties:ro --env-file ts.env \\\n"
        "  pytorch/torchserve:0.12.0-gpu torchserve --model-store=/tmp/models\n",
    )

    imported = import_(path)

    assert (imported.server.job_queue_size, imported.server.number_of_gpu) == (7, 2)
    assert imported.environment == {"OMP_NUM_THREADS": "3"}
    assert imported.values["sharedMemory"] == "1Gi"


def test_words_behind_an_entry_point_of_another_image(write: Write) -> None:
    path = write(
        "compose.yaml",
        "services: {ts: {image: team/cuda-torchserve, command: ['--models a=b.mar']}}\n",
    )

    assert list(import_(path).models) == ["a"]


def test_variables_that_choose_gpus_are_the_device_plugins(write: Write) -> None:
    names = ("NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "LD_PRELOAD")
    variables = ", ".join(f"{name}: '1'" for name in names)
    service = f"{{image: pytorch/torchserve, environment: {{{variables}}}}}"

    imported = import_(write("compose.yaml", f"services: {{ts: {service}}}\n"))

    assert imported.environment == {}
    assert [row(imported, name)[0] for name in names] == [
        Outcome.ELSEWHERE,
        Outcome.ELSEWHERE,
        Outcome.LOST,
    ]


def test_a_file_that_overrides_another_has_to_be_joined_first(write: Write) -> None:
    path = write("compose.override.yaml", "services: {ts: {environment: {TS_JOB_QUEUE_SIZE: 3}}}\n")

    with pytest.raises(InputError) as caught:
        import_(path)
    assert "docker compose config" in caught.value.hint
