"""docs/install-eks.md says what is so: its commands exist, its steps and quantities are those."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.bootstrap.steps import STEPS
from harness.cli.commands import VERBS
from harness.core.repository import Repository
from harness.core.values import text
from harness.local_cluster import nodes

MOST = 10
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def page(checkout: Repository) -> str:
    return (checkout.root / "docs" / "install-eks.md").read_text()


def section(page: str, title: str) -> str:
    return page.split(f"\n## {title}\n")[1].split("\n## ", maxsplit=1)[0]


def commands(text: str) -> list[list[str]]:
    """The commands of its shell blocks, continued lines joined, comments left out."""
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    joined = "".join(blocks).replace("\\\n", "")
    return [line.split("  #")[0].split() for line in joined.splitlines()]


def rows(text: str) -> list[list[str]]:
    """The cells of its first table, the head left out."""
    table = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def test_there_are_at_most_ten_commands_of_this_repository_to_the_first_prediction(
    page: str,
) -> None:
    first = re.search(r"```sh\n(.*?)```", section(page, "The ten commands"), flags=re.DOTALL)
    assert first
    ours = commands(first[0])
    assert len(ours) == MOST
    assert {words[0] for words in ours} == {"harness", "make"}


def test_every_command_of_this_repository_exists(page: str, checkout: Repository) -> None:
    makefile = (checkout.root / "Makefile").read_text()
    to_come = re.search(r"^TO_COME := (.*)$", makefile, flags=re.MULTILINE)
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, flags=re.MULTILINE))
    targets |= set(to_come[1].split()) if to_come else set()
    for words in commands(page):
        if words[0] == "harness":
            assert words[1] in VERBS, words
        if words[0] == "make":
            assert words[1] in targets, words


def test_the_table_has_every_step_in_order(page: str) -> None:
    assert [row[0] for row in rows(section(page, "The steps"))] == [
        f"`{step.name}`" for step in STEPS
    ]


def monitoring_disks() -> int:
    """Gigabytes that the claims of Prometheus and Alertmanager ask for."""
    release = ROOT / "infra/monitoring/controllers/kube-prometheus-stack.yaml"
    return sum(map(int, re.findall(r"storage: (\d+)Gi", release.read_text())))


def quantities(described: dict[str, Any]) -> dict[str, str]:
    """What an eksctl.yaml makes, as the page counts it."""
    groups = described["managedNodeGroups"]
    nodes = {each["instanceType"]: each["desiredCapacity"] for each in groups}
    several = described["vpc"]["nat"]["gateway"] == "HighlyAvailable"
    disks = sum(each["desiredCapacity"] * each["volumeSize"] for each in groups)
    gateways = str(len(described["availabilityZones"]) if several else 1)
    return {
        "EKS control plane, standard support": "1",
        **{f"{name}, on demand": str(count) for name, count in nodes.items()},
        "NAT gateway": gateways,
        "public IPv4 address (of each NAT gateway)": gateways,
        "EBS gp3, GB: nodes": str(disks),
        "EBS gp3, GB: [monitoring](monitoring.md)": str(monitoring_disks()),
        "Network Load Balancer": "1",
        "KMS key": "1",
    }


@pytest.mark.parametrize(("env", "column"), [("staging", 1), ("production", 2)])
def test_the_costs_count_what_eksctl_would_make(
    page: str, checkout: Repository, env: str, column: int
) -> None:
    described = yaml.safe_load((checkout.root / "clusters" / env / "eksctl.yaml").read_text())
    documented = {row[0]: row[column] for row in rows(section(page, "What it costs"))}
    assert documented == quantities(described)


def gigabytes(folder: str) -> int:
    """What the disks of a component hold: volumes that are claimed, and those of nodes."""
    text = "".join(each.read_text() for each in (ROOT / "infra" / folder).rglob("*.yaml"))
    return sum(map(int, re.findall(r"(?:(?<![\w-])storage|volumeSize): (\d+)Gi", text)))


def test_the_costs_of_components_are_those_of_their_files() -> None:
    page = (ROOT / "docs/components.md").read_text()
    table = {row[0]: row[1:] for row in rows(section(page, "What they cost"))}
    folders = {each.parent.name for each in (ROOT / "infra").glob("*/flux.yaml")}
    assert set(table) == folders
    for name, (nodes_added, disks, _) in table.items():
        assert int(disks.split()[0]) == gigabytes(name), name
        if name == "karpenter":
            pool = (ROOT / "infra/karpenter/configs/nodepool.yaml").read_text()
            limit = re.search(r'nvidia.com/gpu: "(\d+)"', pool)
            assert limit
            assert nodes_added.startswith(f"{limit[1]} GPUs")


@pytest.mark.parametrize(("env", "column"), [("staging", 1), ("production", 2)])
def test_the_quota_is_that_of_the_gpu_nodes_and_of_their_update(
    page: str, checkout: Repository, env: str, column: int
) -> None:
    described = yaml.safe_load((checkout.root / "clusters" / env / "eksctl.yaml").read_text())
    cpus = [
        int(text(node, "status", "capacity", "cpu"))
        for node in nodes.of(checkout, env)
        if text(node, "status", "capacity", "nvidia.com/gpu")
    ]
    # https://docs.aws.amazon.com/eks/latest/userguide/managed-node-update-behavior.html
    more = 2 * len(described["availabilityZones"]) * cpus[0]
    documented = {row[0]: row[column] for row in rows(section(page, "What you need"))}
    assert documented == {"always": str(sum(cpus)), "more while nodes are updated": str(more)}
