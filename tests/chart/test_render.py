"""What the chart promises, seen in what Helm renders."""

import pytest

from harness.core.command import CommandError
from tests.chart.conftest import Render, Rendered


def test_gpus_are_quoted_whole_and_the_same_in_requests_and_limits(render: Render) -> None:
    resources = render("gpu", {"gpus": 2}).container["resources"]
    assert resources["requests"]["nvidia.com/gpu"] == "2"
    assert resources["limits"]["nvidia.com/gpu"] == "2"
    assert "cpu" not in resources["limits"]


def test_gpu_pods_go_to_gpu_nodes(render: Render) -> None:
    pod = render("gpu").pod
    assert pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert pod["tolerations"][0]["key"] == "nvidia.com/gpu"


def test_without_gpus_nothing_speaks_of_them(render: Render) -> None:
    pod = render("cpu").pod
    assert "nvidia" not in str(pod)
    assert pod["tolerations"][0]["key"] == "dedicated"


def test_an_autoscaler_may_own_the_replicas(render: Render) -> None:
    assert "replicas" not in render("cpu")("Deployment")["spec"]
    assert render("gpu", {"replicas": 0})("Deployment")["spec"]["replicas"] == 0


def test_the_startup_probe_follows_from_the_snapshot(render: Render) -> None:
    probe = render("gpu").container["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 600 + 120


def test_the_pod_outlives_its_drain(render: Render) -> None:
    rendered = render("gpu", {"drainSeconds": 100, "deregisterSeconds": 7})
    assert "--drain-seconds=100" in rendered.container["args"]
    assert rendered.pod["terminationGracePeriodSeconds"] == 7 + 100 + 10


def test_probes_ask_the_launcher(render: Render) -> None:
    container = render("gpu", {"launcherPort": 9000}).container
    for probe, path in (("startup", "/startup"), ("readiness", "/ready"), ("liveness", "/live")):
        assert container[f"{probe}Probe"]["httpGet"] == {"path": path, "port": "launcher"}
    assert {"name": "launcher", "containerPort": 9000} in container["ports"]
    assert "--port=9000" in container["args"]


def test_management_and_metrics_stay_on_the_loopback(render: Render) -> None:
    rendered = render("gpu")
    shown = [port["port"] for port in rendered("Service")["spec"]["ports"]]
    open_ = [port["containerPort"] for port in rendered.container["ports"]]
    assert shown == [8080, 7070]
    assert open_ == [8080, 7070, 8090]


def test_the_store_is_read_only_and_so_is_the_root(render: Render) -> None:
    pod = render("gpu").pod
    mounts = {mount["name"]: mount for mount in pod["containers"][0]["volumeMounts"]}
    claim = next(volume for volume in pod["volumes"] if volume["name"] == "model-store")
    assert mounts["model-store"]["readOnly"] and claim["persistentVolumeClaim"]["readOnly"]
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"]
    assert {mounts[name]["mountPath"] for name in ("run", "tmp", "shm")} == {
        "/run/torchserve",
        "/tmp",
        "/dev/shm",
    }


def test_a_change_of_what_is_served_rolls_the_pods(render: Render) -> None:
    before = render("gpu")
    config = before("ConfigMap")["data"]["config.properties"]
    for change in ({"config": f"{config}job_queue_size=1\n"}, {"modelStore": {"files": []}}):
        assert _checksum(render("gpu", change)) != _checksum(before)


def test_a_change_of_nothing_that_is_served_rolls_nothing(render: Render) -> None:
    changed = {"replicas": 5, "podDisruptionBudget": {"maxUnavailable": 2}}
    assert render("gpu").pod == render("gpu", changed).pod


def test_the_sync_job_comes_before_everything_and_is_never_served(render: Render) -> None:
    rendered = render("gpu")
    weights = {
        value["kind"]: int(value["metadata"]["annotations"]["helm.sh/hook-weight"])
        for value in rendered.objects
        if value["metadata"].get("annotations", {}).get("helm.sh/hook", "").startswith("pre-")
    }
    assert weights["PersistentVolumeClaim"] < weights["ServiceAccount"] < weights["Job"]
    selector = rendered("Service")["spec"]["selector"]
    labels = rendered("Job", "-model-sync")["spec"]["template"]["metadata"]["labels"]
    assert not selector.items() <= labels.items()


def test_the_claim_is_kept_and_never_replaced(render: Render) -> None:
    annotations = render("gpu")("PersistentVolumeClaim", "-model-store")["metadata"]["annotations"]
    assert annotations["helm.sh/resource-policy"] == "keep"
    assert "before-hook-creation" not in annotations["helm.sh/hook-delete-policy"]
    assert "PersistentVolumeClaim" not in render("cpu").kinds()


def test_sync_and_test_are_off_unless_asked_for(render: Render) -> None:
    assert not {"Job", "Pod"} & render("cpu").kinds()


def test_every_pod_is_restricted(render: Render) -> None:
    rendered = render("gpu")
    specs = [rendered.pod, rendered("Job", "-model-sync")["spec"]["template"]["spec"]]
    for spec in [*specs, rendered("Pod", "-test-prediction")["spec"]]:
        [container] = spec["containers"]
        assert spec["securityContext"]["runAsUser"] == 1000
        assert not spec["automountServiceAccountToken"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert not container["securityContext"]["allowPrivilegeEscalation"]


def test_a_large_archive_keeps_its_size(render: Render) -> None:
    files = render("gpu")("ConfigMap")["data"]["model-files.json"]
    assert '"size": 5237981184' in files


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image": {"digest": ""}}, "image.digest is empty"),
        ({"image": {"digest": "latest"}}, "/image/digest"),
        ({"config": ""}, "config is empty"),
        ({"inferencePort": 9090}, "config does not say inference_address=http://0.0.0.0:9090"),
        ({"managementPort": 80}, "config does not say management_address"),
        ({"modelStore": {"mountPath": "/models"}}, "config does not say model_store=/models"),
        ({"persistence": {"existingClaim": "mine"}}, "one of persistence.existingClaim"),
        ({"modelStore": {"sync": {"source": ""}}}, "modelStore.sync.source is empty"),
        ({"replcas": 2}, "additional properties 'replcas' not allowed"),
        ({"gpus": "1"}, "got string, want integer"),
        ({"resources": {"requests": {"cpu": 2}}}, "got number, want string"),
        ({"modelStore": {"files": [{"name": "m.mar", "size": 1}]}}, "missing property 'sha256'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_values_are_refused(render: Render, changes: dict[str, object], said: str) -> None:
    with pytest.raises(CommandError, match="exit code 1") as refused:
        render("gpu", changes)
    assert said in refused.value.message


def _checksum(rendered: Rendered) -> str:
    template = rendered("Deployment")["spec"]["template"]
    return template["metadata"]["annotations"]["checksum/config"]


def test_a_drain_shorter_than_an_answer_is_refused(render: Render) -> None:
    with pytest.raises(CommandError, match="drainSeconds is 89: the longest responseTimeout"):
        render("gpu", {"drainSeconds": 89})
