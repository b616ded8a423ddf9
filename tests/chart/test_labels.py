"""Labels of a release's pods: who is selected by what, during an upgrade too."""

from harness.policy.facts.pods import selects
from tests.chart.conftest import Render, Rendered

# What selects servers since the first release, 69fd4c0: a Deployment's selector cannot be changed.
BEFORE_GROUPS = {
    "app.kubernetes.io/name": "torchserve",
    "app.kubernetes.io/instance": "release",
    "app.kubernetes.io/component": "server",
}


def _jobs_labels(rendered: Rendered) -> list[dict[str, str]]:
    jobs = [rendered("Job", suffix) for suffix in ("-model-sync", "-test-prediction")]
    return [job["spec"]["template"]["metadata"]["labels"] for job in jobs]


def test_only_servers_are_of_the_group_and_an_instance_of_the_release(render: Render) -> None:
    """A canary controller selects by one label: no Job's pod may have it."""
    rendered = render("gpu")
    labels = rendered.template["metadata"]["labels"]
    assert labels["torchserve/group"] == labels["app.kubernetes.io/instance"] == "release"
    for of_job in _jobs_labels(rendered):
        assert "torchserve/group" not in of_job
        assert of_job["app.kubernetes.io/instance"] not in labels.values()


def test_selectors_that_may_not_change_are_those_of_the_first_release(render: Render) -> None:
    rendered = render("gpu")
    for selector in (
        rendered("Deployment")["spec"]["selector"]["matchLabels"],
        rendered("Service")["spec"]["selector"],
    ):
        assert selector == BEFORE_GROUPS


def test_pods_of_a_release_before_groups_keep_permission_and_protection(render: Render) -> None:
    """They serve until they are replaced, and have every label but the group's."""
    rendered = render("gpu")
    new = rendered.template["metadata"]["labels"]
    specs = [each["spec"] for each in rendered.objects if each["kind"] == "NetworkPolicy"]
    for labels in (BEFORE_GROUPS, new):
        traffic = [
            {key: value for key, value in spec.items() if key != "podSelector"}
            for spec in specs
            if selects(spec["podSelector"], labels)
        ]
        assert traffic
        assert all(each == traffic[0] for each in traffic)
        budgets = [
            each["metadata"]["name"]
            for each in rendered.objects
            if each["kind"] == "PodDisruptionBudget" and selects(each["spec"]["selector"], labels)
        ]
        assert len(budgets) == 1, "of two budgets no pod is ever evicted"


def test_the_test_pod_reaches_the_servers_and_they_let_it_in(render: Render) -> None:
    rendered = render("gpu")
    _, of_test = _jobs_labels(rendered)
    policy = rendered("NetworkPolicy", "-test")["spec"]
    assert selects(policy["podSelector"], of_test)
    [to_servers] = [
        peer["podSelector"]
        for allowed in policy["egress"]
        for peer in allowed["to"]
        if peer.keys() == {"podSelector"}
    ]
    assert selects(to_servers, rendered.template["metadata"]["labels"])
    peers = rendered("NetworkPolicy", "-server")["spec"]["ingress"][0]["from"]
    assert any(selects(peer["podSelector"], of_test) for peer in peers if "podSelector" in peer)
