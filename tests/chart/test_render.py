"""What the chart promises, seen in what Helm renders."""

from ipaddress import ip_address, ip_network

import pytest

from harness.core.command import CommandError
from harness.policy.facts.serving import CONFIG, FILES
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


def test_timeouts_of_the_values_come_before_those_of_the_snapshot(render: Render) -> None:
    rendered = render("gpu", {"timeouts": {"startup": 900}})
    probe = rendered.container["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 900 + 120
    with pytest.raises(CommandError, match="the longest responseTimeout is 90"):
        render("gpu", {"timeouts": {"response": 90}, "drainSeconds": 89})


def test_the_startup_probe_follows_from_the_snapshot(render: Render) -> None:
    probe = render("gpu").container["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 600 + 120


def test_the_pod_outlives_its_drain(render: Render) -> None:
    rendered = render("gpu", {"drainSeconds": 100, "deregisterSeconds": 7})
    assert "--drain-seconds=100" in rendered.container["args"]
    assert rendered.pod["terminationGracePeriodSeconds"] == 7 + 100 + 10


def test_spans_go_to_the_collector_that_the_values_name(render: Render) -> None:
    endpoint = "http://jaeger.tracing.svc.cluster.local:4318"
    container = render("gpu", {"tracing": {"endpoint": endpoint}}).container
    assert f"--traces={endpoint}" in container["args"]
    assert {"name": "OTEL_SERVICE_NAME", "value": "release"} in container["env"]
    assert "--traces" not in str(render("gpu").container["args"])


def test_a_service_name_of_the_values_is_the_only_one(render: Render) -> None:
    env = [{"name": "OTEL_SERVICE_NAME", "value": "ranker"}]
    values = {"tracing": {"endpoint": "http://10.0.0.1:4318"}, "env": env}
    variables = render("gpu", values).container["env"]
    assert [each for each in variables if each["name"] == "OTEL_SERVICE_NAME"] == env


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


def test_settings_are_the_pods_own(render: Render) -> None:
    template = render("gpu").template
    [volume] = [each for each in template["spec"]["volumes"] if each["name"] == "config"]
    files = {item["path"]: item["fieldRef"]["fieldPath"] for item in volume["downwardAPI"]["items"]}
    for name, path in files.items():
        assert path == f"metadata.annotations['torchserve/{name}']"
    config = template["metadata"]["annotations"]["torchserve/config.properties"]
    assert "model_snapshot=" in config
    arguments = template["spec"]["containers"][0]["args"]
    assert {f"--config=/etc/torchserve/{CONFIG}", f"--files=/etc/torchserve/{FILES}"} < set(
        arguments
    )
    assert files.keys() == {CONFIG, FILES, "log-level"}


def test_a_change_of_what_is_served_rolls_the_pods(render: Render) -> None:
    before = render("gpu").template
    config = before["metadata"]["annotations"][f"torchserve/{CONFIG}"]
    for change in ({"config": f"{config}job_queue_size=1\n"}, {"modelStore": {"files": []}}):
        assert render("gpu", change).template != before


@pytest.mark.parametrize(
    "text", ["ends=without a newline", "a=\\u00e4\\\n  b\n", "tab=\t#{}$$X$$\n"]
)
def test_settings_arrive_byte_for_byte(render: Render, text: str) -> None:
    config = render("gpu").template["metadata"]["annotations"][f"torchserve/{CONFIG}"] + text
    annotations = render("gpu", {"config": config}).template["metadata"]["annotations"]
    assert annotations[f"torchserve/{CONFIG}"] == config


@pytest.mark.parametrize(
    ("ci", "changes", "surge", "unavailable"),
    [
        ("gpu", {"replicas": 3}, 0, 1),
        ("gpu", {"replicas": 2, "gpus": 4}, 0, 1),
        ("gpu", {"replicas": None}, 0, 1),  # an autoscaler's: at least two (availability/…)
        ("gpu", {"replicas": 1}, 1, 0),
        ("cpu", {"replicas": 3}, 1, 0),
        ("gpu", {"replicas": 3, "rollout": {"maxSurge": 1}}, 1, 0),
        ("cpu", {"replicas": 3, "rollout": {"maxSurge": 0}}, 0, 1),
        ("gpu", {"replicas": 8, "rollout": {"maxUnavailable": 2}}, 0, 2),
    ],
)
def test_pods_on_gpus_make_room_for_each_other(
    render: Render, ci: str, changes: dict[str, object], surge: int, unavailable: int
) -> None:
    strategy = render(ci, changes)("Deployment")["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": surge, "maxUnavailable": unavailable}


def test_a_change_of_nothing_that_is_served_rolls_nothing(render: Render) -> None:
    changed = {"replicas": 5, "podDisruptionBudget": {"maxUnavailable": 2}}
    assert render("gpu").template == render("gpu", changed).template


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


def test_the_sync_job_runs_as_an_account_of_its_own_or_an_existing_one(render: Render) -> None:
    def account(rendered: Rendered) -> str:
        name: str = rendered("Job", "-model-sync")["spec"]["template"]["spec"]["serviceAccountName"]
        return name

    rendered = render("gpu")
    assert rendered("ServiceAccount", "-model-sync")["metadata"]["name"] == account(rendered)
    shared = render("gpu", {"modelStore": {"sync": {"serviceAccount": "of-all-groups"}}})
    assert account(shared) == "of-all-groups"
    accounts = [each for each in shared.objects if each["kind"] == "ServiceAccount"]
    assert [each["metadata"]["name"] for each in accounts] == ["release"]


def test_the_sync_job_ends_by_itself_before_kubernetes_ends_it(render: Render) -> None:
    """Waiting for other groups comes on top; with one group the Job takes as long as ever."""
    for wait in (0, 900):
        job = render("gpu", {"modelStore": {"sync": {"waitSeconds": wait}}})("Job", "-model-sync")
        [container] = job["spec"]["template"]["spec"]["containers"]
        variables = {each["name"]: each["value"] for each in container["env"]}
        total = job["spec"]["activeDeadlineSeconds"]
        assert total == 1800 + wait
        assert int(variables["MODEL_SYNC_DEADLINE_SECONDS"]) == 1800 - 30
        assert int(variables["MODEL_SYNC_WAIT_SECONDS"]) == total - 60
        assert variables["MODEL_SYNC_GROUP"] == "release"


def test_the_claim_is_kept_and_never_replaced(render: Render) -> None:
    annotations = render("gpu")("PersistentVolumeClaim", "-model-store")["metadata"]["annotations"]
    assert annotations["helm.sh/resource-policy"] == "keep"
    assert "before-hook-creation" not in annotations["helm.sh/hook-delete-policy"]
    assert "PersistentVolumeClaim" not in render("cpu").kinds()


def test_sync_and_test_are_off_unless_asked_for(render: Render) -> None:
    assert "Job" not in render("cpu").kinds()


def test_every_pod_has_an_owner(render: Render) -> None:
    """EKS applies NetworkPolicies only to pods with an owner."""
    assert "Pod" not in render("gpu").kinds()


def test_the_sync_job_reaches_what_is_public_and_dns_alone(render: Render) -> None:
    egress = render("gpu")("NetworkPolicy", "-model-sync")["spec"]["egress"]
    blocks = [
        (ip_network(peer["ipBlock"]["cidr"]), peer["ipBlock"].get("except", []), port["port"])
        for allowed in egress
        for peer in allowed["to"]
        if "ipBlock" in peer
        for port in allowed["ports"]
    ]

    def open_ports(address: str) -> set[int]:
        return {
            port
            for network, shut, port in blocks
            if ip_address(address) in network
            and not any(ip_address(address) in ip_network(each) for each in shut)
        }

    assert open_ports("52.216.1.1") == {443}
    assert open_ports("169.254.170.23") == {80}, "the Pod Identity agent"
    assert open_ports("169.254.20.10") == {53}, "NodeLocal DNSCache"
    assert open_ports("169.254.169.254") == set(), "the instance metadata"
    # RFC 1918, and what EKS suggests for pods beyond it.
    for private in ("10.0.0.1", "172.20.0.1", "192.168.0.1", "100.64.0.1", "198.19.0.1"):
        assert open_ports(private) == set(), private


def test_every_pod_is_restricted(render: Render) -> None:
    rendered = render("gpu")
    jobs = [rendered("Job", suffix) for suffix in ("-model-sync", "-test-prediction")]
    for spec in [rendered.pod, *(job["spec"]["template"]["spec"] for job in jobs)]:
        [container] = spec["containers"]
        assert spec["securityContext"]["runAsUser"] == 1000
        assert not spec["automountServiceAccountToken"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert not container["securityContext"]["allowPrivilegeEscalation"]


def test_a_large_archive_keeps_its_size(render: Render) -> None:
    assert (
        '"size": 5237981184'
        in render("gpu").template["metadata"]["annotations"][f"torchserve/{FILES}"]
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": {"digest": ""}}, "image.digest is empty"),
        ({"image": {"digest": "latest"}}, "/image/digest"),
        ({"config": ""}, "config is empty"),
        ({"config": "#" * 262_000}, "Kubernetes keeps 256 KiB of annotations for a pod"),
        ({"rollout": {"maxSurge": 0, "maxUnavailable": 0}}, "no pod could ever be replaced"),
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
def test_bad_values_are_refused(render: Render, changes: dict[str, object], message: str) -> None:
    with pytest.raises(CommandError, match="exit code 1") as refused:
        render("gpu", changes)
    assert message in refused.value.message


def test_a_drain_shorter_than_an_answer_is_refused(render: Render) -> None:
    with pytest.raises(CommandError, match="drainSeconds is 89: the longest responseTimeout"):
        render("gpu", {"drainSeconds": 89})


def test_the_file_of_the_metrics_is_mounted_beside_the_settings(render: Render) -> None:
    settings = "metrics_config=/etc/torchserve/metrics.yaml"
    with pytest.raises(CommandError, match=f"config does not say {settings}"):
        render("gpu", {"metricsConfig": "dimensions: []"})

    config = render("gpu").template["metadata"]["annotations"][f"torchserve/{CONFIG}"]
    rendered = render("gpu", {"metricsConfig": "dimensions: []", "config": config + settings})

    annotations = rendered.template["metadata"]["annotations"]
    assert annotations["torchserve/metrics.yaml"] == "dimensions: []"
    files = next(each for each in rendered.pod["volumes"] if each["name"] == "config")
    assert "metrics.yaml" in [item["path"] for item in files["downwardAPI"]["items"]]
