"""The chart's open places: what people put there is rendered, what would break it is refused."""

import pytest

from harness.core.command import CommandError
from tests.chart.conftest import Render

VARIABLE = {"name": "OMP_NUM_THREADS", "value": "4"}


def test_the_servers_container_takes_variables_and_mounts(render: Render) -> None:
    rendered = render("bent")
    assert VARIABLE in rendered.container["env"]
    assert rendered.container["envFrom"] == [{"configMapRef": {"name": "proxies"}}]
    mount = rendered.container["volumeMounts"][-1]
    assert mount == {"name": "cache", "mountPath": "/home/model-server/.cache"}
    assert rendered.pod["volumes"][-1] == {"name": "cache", "emptyDir": {"sizeLimit": "1Gi"}}


def test_other_containers_stand_beside_the_server(render: Render) -> None:
    pod = render("bent").pod
    assert [each["name"] for each in pod["containers"]] == ["torchserve", "log-shipper"]
    [fetch] = pod["initContainers"]
    assert fetch["securityContext"] == pod["containers"][0]["securityContext"]
    assert pod["containers"][1]["securityContext"] == {"readOnlyRootFilesystem": False}


def test_pods_go_where_they_are_sent(render: Render) -> None:
    pod = render("bent").pod
    assert pod["runtimeClassName"] == "nvidia"
    assert "requiredDuringSchedulingIgnoredDuringExecution" in pod["affinity"]["nodeAffinity"]
    assert pod["nodeSelector"] == {"cloud.google.com/gke-accelerator": "nvidia-tesla-a100"}
    assert pod["tolerations"][0]["key"] == "nvidia.com/gpu", "the taint of MIG nodes too"


def test_a_gpu_has_the_name_that_its_plugin_gives_it(render: Render) -> None:
    resources = render("bent").container["resources"]
    for part in ("requests", "limits"):
        assert resources[part]["nvidia.com/mig-1g.5gb"] == "1"
        assert "nvidia.com/gpu" not in resources[part]
    amd = render("gpu", {"gpuResource": "amd.com/gpu"})
    assert amd.pod["tolerations"][0]["key"] == "amd.com/gpu"


def test_an_image_of_this_machine_goes_by_its_tag(render: Render) -> None:
    rendered = render("bent")
    assert rendered.container["image"] == "localhost/torchserve:dev"
    job = rendered("Job", "-model-sync")["spec"]["template"]["spec"]
    assert job["containers"][0]["image"] == "localhost/torchserve:dev"
    assert job["imagePullSecrets"] == rendered.pod["imagePullSecrets"] == [{"name": "registry"}]


def test_pods_and_account_carry_labels_and_annotations(render: Render) -> None:
    rendered = render("bent")
    metadata = rendered.template["metadata"]
    assert metadata["labels"]["team"] == "vision"
    assert metadata["annotations"]["prometheus.io/scrape"] == "true"
    [account] = [
        each["metadata"]
        for each in rendered.objects
        if each["kind"] == "ServiceAccount" and each["metadata"]["name"] == "vision"
    ]
    assert "eks.amazonaws.com/role-arn" in account["annotations"]
    assert rendered.pod["serviceAccountName"] == "vision"


def test_an_account_that_exists_is_named(render: Render) -> None:
    rendered = render("cpu", {"serviceAccount": {"create": False, "name": "mine"}})
    assert rendered.pod["serviceAccountName"] == "mine"
    assert "ServiceAccount" not in rendered.kinds()


def test_the_security_context_holds_for_pod_and_container(render: Render) -> None:
    rendered = render("bent")
    assert rendered.pod["securityContext"]["runAsUser"] == 1234
    assert rendered.container["securityContext"]["runAsUser"] == 1234
    assert "fsGroup" not in rendered.pod["securityContext"]
    root = render("cpu", {"podSecurityContext": {"runAsNonRoot": False, "runAsUser": 0}})
    assert root.container["securityContext"]["runAsNonRoot"] is False


def test_the_pod_spec_is_merged_key_by_key(render: Render) -> None:
    pod = render("bent").pod
    assert pod["enableServiceLinks"] is True
    assert pod["dnsConfig"] == {"options": [{"name": "ndots", "value": "1"}]}
    assert pod["containers"][0]["name"] == "torchserve"
    merged = render("gpu", {"podSpec": {"nodeSelector": {"zone": "a"}, "enableServiceLinks": None}})
    assert merged.pod["nodeSelector"] == {"nvidia.com/gpu.present": "true", "zone": "a"}
    assert "enableServiceLinks" not in merged.pod


def test_containers_and_volumes_are_merged_by_name(render: Render) -> None:
    server = {"name": "torchserve", "livenessProbe": {"failureThreshold": 9}, "env": [VARIABLE]}
    other = {"name": "other", "image": "other"}
    volumes = [{"name": "tmp", "emptyDir": {"sizeLimit": "9Gi"}}, {"name": "more", "emptyDir": {}}]
    before, after = (
        render("gpu", {"podSpec": each}).pod
        for each in ({}, {"containers": [server, other], "volumes": volumes})
    )
    [container, last] = after["containers"]
    probe = before["containers"][0]["livenessProbe"]
    assert container["livenessProbe"] == probe | {"failureThreshold": 9}
    assert container["volumeMounts"] == before["containers"][0]["volumeMounts"]
    assert container["env"] == [VARIABLE]
    assert last == other
    names = [each["name"] for each in before["volumes"]]
    assert [each["name"] for each in after["volumes"]] == [*names, "more"]
    assert {"name": "tmp", "emptyDir": {"sizeLimit": "9Gi"}} in after["volumes"]


def test_without_changes_a_pod_spec_is_what_it_was(render: Render) -> None:
    assert (
        render("gpu", {"podSpec": {"enableServiceLinks": False}}).objects == render("gpu").objects
    )


def test_the_service_may_be_reached_otherwise(render: Render) -> None:
    service = render("bent")("Service")
    assert service["spec"]["type"] == "LoadBalancer"
    assert "nlb" in service["metadata"]["annotations"].values()


def test_servers_call_whom_the_values_name(render: Render) -> None:
    [dns, everybody] = render("bent")("NetworkPolicy")["spec"]["egress"]
    assert dns["ports"][0]["port"] == 53
    assert everybody == {"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}
    assert render("gpu")("NetworkPolicy")["spec"]["egress"] == []


def test_further_objects_come_with_the_release(render: Render) -> None:
    [proxies] = [each for each in render("bent").objects if each["metadata"]["name"] == "proxies"]
    assert proxies["data"] == {"HTTPS_PROXY": "http://proxy:3128"}


def test_an_autoscaler_owns_the_replicas_without_a_null(render: Render) -> None:
    rendered = render("gpu", {"autoscaling": {"enabled": True}})("Deployment")
    assert "replicas" not in rendered["spec"]
    assert rendered["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 0


@pytest.mark.parametrize(
    ("sync", "endpoint"),
    [
        ({"source": "s3://bucket"}, None),
        ({"source": "gs://bucket/store"}, "https://storage.googleapis.com"),
        ({"source": "s3://b", "endpoint": "http://minio:9000"}, "http://minio:9000"),
    ],
    ids=["AWS", "Google", "MinIO"],
)
def test_the_sync_job_asks_the_service_of_its_source(
    render: Render, sync: dict[str, str], endpoint: str | None
) -> None:
    job = render("gpu", {"modelStore": {"sync": sync}})("Job", "-model-sync")
    variables = {
        each["name"]: each.get("value")
        for each in job["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    assert variables.get("AWS_ENDPOINT_URL_S3") == endpoint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": {"tag": "dev"}}, "image has a digest, and the tag dev"),
        ({"image": {"digest": ""}}, "image.digest is empty"),
        ({"podLabels": {"app.kubernetes.io/name": "mine"}}, "podLabels.app.kubernetes.io/name"),
        ({"podLabels": {"torchserve/group": "mine"}}, "podLabels.torchserve/group is the chart's"),
        ({"podAnnotations": {"torchserve/config.properties": ""}}, "podAnnotations.torchserve/"),
        ({"podSpec": {"serviceAccountName": "a"}}, "podSpec.serviceAccountName is serviceAccount"),
        ({"serviceAccount": {"create": False}}, "serviceAccount.name is empty"),
        ({"modelStore": {"sync": {"source": "az://account/c"}}}, "Azure's blobs have no S3"),
        ({"env": [{"name": "A", "value": 4}]}, "got number, want string"),
        ({"sidecars": [{"name": "log-shipper"}]}, "missing property 'image'"),
        ({"service": {"type": "ExternalName"}}, "/service/type"),
        ({"extraObjects": [{"kind": "Ingress"}]}, "missing propert"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_would_break_the_chart_is_refused(
    render: Render, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(CommandError, match="exit code 1") as refused:
        render("gpu", changes)
    assert message in refused.value.message
