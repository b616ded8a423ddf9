"""What pods and objects next to them have: each is named, and ready to be copied."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.importing import manifest, report
from harness.importing.keys import Outcome
from harness.importing.source import Source
from tests.importing.conftest import import_
from tests.importing.test_sources import row

Write = Callable[[str, str], Path]

DEPLOYMENT = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data:
  config.properties: |
    job_queue_size=7
    load_models=m.mar
  OMP_NUM_THREADS: "2"
---
apiVersion: apps/v1
kind: Deployment
spec:
  replicas: 3
  template:
    metadata: {labels: {team: a}, annotations: {prometheus.io/port: "8082", b: "true"}}
    spec:
      runtimeClassName: nvidia
      hostNetwork: true
      schedulerName: mine
      terminationGracePeriodSeconds: 9
      initContainers:
        - {name: fetch, image: cli, volumeMounts: [{name: models, mountPath: /x}]}
        - {name: other, image: cli}
      containers:
        - name: log
          image: fluent
          env: [{name: API_TOKEN, value: hunter2}]
          volumeMounts: [{name: models, mountPath: /x}, {name: more, mountPath: /y}]
        - name: ts
          image: pytorch/torchserve:0.12.0-gpu
          args: [torchserve, --ts-config, /c/config.properties, --model-store, /m/store]
          envFrom: [{configMapRef: {name: conf}}, {secretRef: {name: more}}]
          livenessProbe: {httpGet: {path: /ping}}
          resources: {limits: {memory: 8Gi, cpu: 4, nvidia.com/mig-1g.5gb: 1}}
          volumeMounts:
            - {name: conf, mountPath: /c}
            - {name: models, mountPath: /m}
            - {name: shm, mountPath: /dev/shm}
            - {name: cache, mountPath: /cache}
      volumes:
        - {name: conf, configMap: {name: conf}}
        - {name: models, nfs: {server: nas, path: /v}}
        - {name: shm, emptyDir: {medium: Memory, sizeLimit: 2Gi}}
        - {name: cache, emptyDir: {}}
        - {name: more, emptyDir: {}}
"""


def test_every_key_of_a_pod_is_named(write: Write) -> None:
    imported = import_(write("all.yaml", DEPLOYMENT))

    assert imported.refused == ()
    assert imported.server.job_queue_size == 7
    assert imported.environment["OMP_NUM_THREADS"] == "2"
    assert imported.values == {
        "replicas": 3,
        "podLabels": {"team": "a"},
        "podAnnotations": {"b": "true"},
        "runtimeClassName": "nvidia",
        "podSpec": {"schedulerName": "mine"},
        "initContainers": [{"name": "other", "image": "cli"}],
        "sidecars": [
            {
                "name": "log",
                "image": "fluent",
                "env": [{"name": "API_TOKEN", "value": "UNSET"}],
                "volumeMounts": [
                    {"name": "model-store", "mountPath": "/x"},
                    {"name": "more", "mountPath": "/y"},
                ],
            }
        ],
        "envFrom": [{"secretRef": {"name": "more"}}],
        "resources": {
            "requests": {"memory": "8Gi", "cpu": "4"},
            "limits": {"memory": "8Gi", "cpu": "4"},
        },
        "gpuResource": "nvidia.com/mig-1g.5gb",
        "sharedMemory": "2Gi",
        "extraVolumes": [{"name": "cache", "emptyDir": {}}, {"name": "more", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "cache", "mountPath": "/cache"}],
    }
    assert row(imported, "hostNetwork")[0] is Outcome.LOST
    assert row(imported, "initContainer fetch")[1].startswith("the sync Job brings the archives")
    assert row(imported, "volume models")[1].startswith("the model store (nfs server: nas")
    named = {"terminationGracePeriodSeconds", "livenessProbe", "volume conf"}
    assert named <= {each.key for each in imported.keys}
    text = report.as_text(imported)
    assert "hunter2" not in text
    copied = text.partition("helmrelease.yaml:\n")[2].partition("\n\n")[0]
    assert yaml.safe_load(copied) == imported.values


OBJECTS = """\
kind: Service
spec: {type: LoadBalancer}
---
kind: Ingress
metadata: {annotations: {nginx.ingress.kubernetes.io/proxy-body-size: 50m}}
---
kind: HorizontalPodAutoscaler
spec: {minReplicas: 2, maxReplicas: 9, metrics: [{type: Pods}]}
---
kind: PodMonitor
---
kind: PersistentVolumeClaim
spec: {resources: {requests: {storage: 50Gi}}}
---
kind: ServiceAccount
metadata: {annotations: {eks.amazonaws.com/role-arn: arn}}
---
kind: Role
rules: []
---
kind: Deployment
metadata: {name: web}
spec: {replicas: 8, template: {spec: {containers: [{image: nginx}]}}}
---
"""


@pytest.mark.parametrize("text", [DEPLOYMENT, OBJECTS + DEPLOYMENT])
def test_what_is_copied_is_what_the_chart_takes(
    write: Write, checkout: Repository, text: str
) -> None:
    path = write("all.yaml", text.replace("kind: Role\n", "kind: Role\nmetadata: {name: r}\n"))
    schema = json.loads((checkout.root / "apps/torchserve/chart/values.schema.json").read_text())
    values = import_(path).values

    properties = {key: rule for key, rule in schema["properties"].items() if key in values}
    part = {"$defs": schema["$defs"], "properties": properties, "additionalProperties": False}

    assert len(properties) == len(values)
    assert [*Draft202012Validator(part).iter_errors(dict(values))] == []


def test_every_object_next_to_it_is_named(write: Write) -> None:
    objects = OBJECTS.replace("kind:", "apiVersion: v1\nkind:")
    imported = import_(write("all.yaml", objects + DEPLOYMENT))

    for kind in ("Service", "Ingress", "PodMonitor", "PersistentVolumeClaim", "Deployment web"):
        assert row(imported, kind)[0] is Outcome.ELSEWHERE
    assert "another address" in row(imported, "Service")[1]
    assert row(imported, "Ingress")[1].endswith("not taken over: proxy-body-size")
    assert "its metrics (Pods) are yours to map" in row(imported, "HorizontalPodAutoscaler")[1]
    assert imported.values["autoscaling"] == {"kind": "hpa", "minReplicas": 2, "maxReplicas": 9}
    assert "replicas" not in imported.values
    assert imported.values["serviceAccount"] == {
        "annotations": {"eks.amazonaws.com/role-arn": "arn"}
    }
    assert imported.values["extraObjects"] == [{"apiVersion": "v1", "kind": "Role", "rules": []}]


PREDICTOR = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
spec:
  predictor:
    minReplicas: 0
    canaryTrafficPercent: 10
    logger: {mode: all}
    model:
      modelFormat: {name: pytorch}
      protocolVersion: v2
      storageUri: s3://b/m
      args: [--enable-model-api]
  transformer: {containers: [{image: t, command: [python]}]}
"""


def test_a_predictor_starts_as_its_runtime_does(write: Write) -> None:
    config = write("config/config.properties", "enable_envvars_config=true\nload_models=m.mar\n")

    imported = import_(write("isvc.yaml", PREDICTOR), config)

    assert imported.server.service_envelope == "kservev2"
    assert row(imported, "enable_model_api")[0] is Outcome.ELSEWHERE
    assert imported.values == {"replicas": 1}  # an autoscaler of the chart wants a maximum too
    for key in ("transformer", "logger", "storageUri"):
        assert row(imported, key)[0] is Outcome.LOST
    assert "docs/canary.md" in row(imported, "canaryTrafficPercent")[1]


def test_a_predictor_of_another_server_is_not_read(write: Write) -> None:
    with pytest.raises(InputError, match="nothing in it starts TorchServe"):
        import_(write("isvc.yaml", PREDICTOR.replace("name: pytorch", "name: sklearn")))


def test_a_runtime_and_the_service_that_uses_it_are_one(write: Write) -> None:
    runtime = (
        "apiVersion: serving.kserve.io/v1alpha1\nkind: ServingRuntime\nspec: {containers: "
        "[{image: t, args: [torchserve, --model-store=/m, --models, a=b.mar]}]}\n---\n"
    )

    assert list(import_(write("all.yaml", runtime + PREDICTOR)).models) == ["a"]


def test_two_servers_are_two_imports(write: Write) -> None:
    two = f"{DEPLOYMENT}---\n{DEPLOYMENT.partition('---')[2]}"

    with pytest.raises(InputError, match="2 containers start TorchServe") as caught:
        import_(write("all.yaml", two))
    assert "docs/groups.md" in caught.value.hint


VALUES = """\
replicaCount: 3
image: {repository: ghcr.io/team/torchserve}
service: {type: NodePort}
ingress: {enabled: false}
podAnnotations: {a: b}
config: {job_queue_size: 9, load_models: m.mar}
modelConfig: {path: /x}
redis: {image: redis, replicas: 5, resources: {limits: {cpu: 1}}}
"""


def test_the_values_of_a_chart_that_nobody_knows(write: Write) -> None:
    imported = import_(write("values.yaml", VALUES))

    assert imported.server.job_queue_size == 9
    assert imported.values == {"replicas": 3, "podAnnotations": {"a": "b"}}
    assert "NodePort" in row(imported, "service")[1]
    assert row(imported, "values")[1].endswith("to see all of it (modelConfig.path)")
    assert "ingress" not in {each.key for each in imported.keys}


def test_values_in_a_text_are_values(write: Write) -> None:
    text = "torchserve_image: x\ntorchserve: {n_gpu: 2}\n"
    values = yaml.safe_dump({"spec": {"source": {"helm": {"values": text}}}})

    imported = import_(write("app.yaml", f"apiVersion: a/v1\nkind: Application\n{values}"))

    assert imported.server.number_of_gpu == 2


def test_a_kustomization_has_to_be_built_first(write: Write) -> None:
    with pytest.raises(InputError, match="kubectl kustomize"):
        import_(write("kustomization.yaml", "resources: [a.yaml]\n"))


def test_a_task_definition_of_ecs(write: Write) -> None:
    path = write(
        "task.json",
        '{"containerDefinitions": [{"image": "dlc", "entryPoint": ["sh", "-c"],'
        '"command": ["mkdir -p /m && torchserve --start --models a=b.mar --model-store /m"],'
        '"resourceRequirements": [{"type": "GPU", "value": "1"}], "memory": 8111}]}',
    )

    imported = import_(path)

    assert list(imported.models) == ["a"]
    assert row(imported, "number_of_gpu")[1].startswith("server.numberOfGpu: 1")
    assert row(imported, "memory")[1].endswith("in MiB: 8111")


KNATIVE = """\
apiVersion: serving.knative.dev/v1
kind: Service
spec:
  template:
    metadata: {annotations: {autoscaling.knative.dev/minScale: "1"}}
    spec: {containerConcurrency: 9, containers: [{image: pytorch/torchserve}]}
"""
SELDON = """\
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata: {name: s}
spec: {predictors: [{componentSpecs: [{spec: {containers: [{image: pytorch/torchserve}]}}]}]}
"""


def test_a_list_has_objects_too(write: Write) -> None:
    items = [*yaml.safe_load_all(OBJECTS.replace("kind:", "apiVersion: v1\nkind:") + DEPLOYMENT)]
    whole = yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [*filter(None, items)]})

    imported = import_(write("all.yaml", whole))

    assert row(imported, "Deployment web")[1].startswith("does not start TorchServe")
    assert imported.values["extraObjects"] == [{"apiVersion": "v1", "kind": "Role", "rules": []}]
    assert imported.server.job_queue_size == 7


@pytest.mark.parametrize("text", [KNATIVE, SELDON])
def test_what_makes_pods_in_another_way_is_not_copied(write: Write, text: str) -> None:
    imported = import_(write("all.yaml", text))

    assert imported.server.job_queue_size == 1000
    assert imported.values == {}
    assert {"Service", "SeldonDeployment s"} & {each.key for each in imported.keys}


def test_a_container_that_archives_serves_nothing(write: Write) -> None:
    job = "apiVersion: batch/v1\nkind: Job\nspec: {template: {spec: {containers: [{image: "
    path = write("job.yaml", f"{job}pytorch/torchserve, command: [torch-model-archiver]}}]}}}}}}\n")

    with pytest.raises(InputError, match="nothing in it starts TorchServe"):
        import_(path)


ODD_KEYS = [
    *("spec", "template", "containers", "initContainers", "volumes", "volumeMounts", "env", "kind"),
    *("envFrom", "args", "command", "image", "resources", "limits", "metadata", "annotations"),
    *("predictor", "model", "build", "deploy", "devices", "items", "data", "autoscaling"),
]
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["x", "sh -c", "2Gi"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(ODD_KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(ODD)
@settings(max_examples=60, deadline=None)
def test_no_yaml_breaks_the_reader(node: object) -> None:
    server = {"image": "pytorch/torchserve", **(node if isinstance(node, dict) else {"x": node})}
    forms = [{"services": {"ts": server}}, {"spec": {"containers": [server]}}, node]

    imported = [manifest.read(yaml.safe_dump(each), Path("all.yaml")) for each in forms]

    assert all(isinstance(each, Source) for each in imported)
