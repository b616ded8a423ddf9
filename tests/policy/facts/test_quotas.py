"""What pods count against a quota, and what limit ranges make of a container."""

from fractions import Fraction
from pathlib import Path

from harness.core import yamlfile
from harness.core.problem import Location
from harness.policy.facts.quotas import LIMITS, REQUESTS, charges
from harness.policy.rules.scheduling.quotas import quota_holds_the_pods
from harness.render.objects import Object, Owner
from harness.render.rendered import Environment

# Two replicas that need their surge, a hook, an init container and a sidecar.
RUNNING = """
{apiVersion: apps/v1, kind: Deployment, metadata: {name: servers, namespace: a}, spec: {replicas: 2,
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}, template: {spec: {
    initContainers: [
      {name: first, resources: {requests: {cpu: 2, memory: 1Gi}}},
      {name: sidecar, restartPolicy: Always, resources: {requests: {cpu: 500m, memory: 1Gi}}}],
    containers: [{name: main, resources: {limits: {cpu: 1, memory: 2Gi}}}]}}}}
---
{apiVersion: batch/v1, kind: Job, metadata: {name: hook, namespace: a,
  annotations: {helm.sh/hook: pre-upgrade}}, spec: {template: {spec: {
    containers: [{name: main, resources: {requests: {cpu: 1, memory: 1Gi}}}]}}}}
---
{apiVersion: batch/v1, kind: Job, metadata: {name: small-hook, namespace: a,
  annotations: {helm.sh/hook: test}}, spec: {template: {spec: {
    containers: [{name: main, resources: {requests: {cpu: 1m, memory: 1Mi}}}]}}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: elsewhere, namespace: b}, spec: {containers: [
  {name: main}]}}
"""


def _environment(*texts: str) -> Environment:
    owner = Owner("Kustomization", "flux-system", "try")
    parsed = [each for text in texts for each in yamlfile.parse(text, Path("try.yaml"))]
    return Environment(
        "try",
        "candidate",
        tuple(
            Object(each.value, owner, lambda _, path: Location(Path("/".join(map(str, path)))))
            for each in parsed
        ),
    )


def _quota(**hard: object) -> str:
    counted = ", ".join(f"{key.replace('_', '.')}: {value}" for key, value in hard.items())
    return (
        "{apiVersion: v1, kind: ResourceQuota, metadata: {name: q, namespace: a}, "
        f"spec: {{hard: {{{counted}}}}}}}"
    )


def _messages(*texts: str) -> list[str]:
    return [each.message for each in quota_holds_the_pods(_environment(RUNNING, *texts))]


def test_pods_that_are_there_at_once_count() -> None:
    servers, hook = charges(_environment(RUNNING), "a")
    assert (servers.pods, hook.workload.name) == (3, "hook")
    assert servers.takes[REQUESTS]["cpu"] == 3 * Fraction(2)  # the init container's, alone
    assert servers.takes[REQUESTS]["memory"] == 3 * 3 << 30
    assert servers.takes[LIMITS]["memory"] == 3 * 2 << 30


def test_a_quota_is_held_against_them() -> None:
    assert _messages(_quota(pods=4, requests_cpu=7, requests_memory="10Gi")) == []
    assert _messages(_quota(pods=3)) == [
        "pods: 3 for what takes 4 (Deployment/a/servers, Job/a/hook)"
    ]
    assert _messages(_quota(requests_memory="8Gi"))[0].startswith(
        "requests.memory: 8Gi for what takes 10Gi"
    )


def test_what_a_quota_counts_every_container_says() -> None:
    (message,) = _messages(_quota(limits_cpu=64))
    assert (
        message == "counts limits.cpu, which container first of Deployment/a/servers does not set"
    )


def test_a_limit_range_says_it_for_them() -> None:
    defaults = (
        "{apiVersion: v1, kind: LimitRange, metadata: {name: r, namespace: a}, "
        "spec: {limits: [{type: Container, max: {cpu: 4}}]}}"
    )
    assert _messages(_quota(limits_cpu=64), defaults) == []


def test_a_quota_of_some_pods_alone_is_left_open() -> None:
    scoped = _quota(pods=1).replace("hard:", "scopes: [BestEffort], hard:")
    assert _messages(scoped) == []
