"""Instance types are those that EC2 names, and a node leaves of them what EKS leaves."""

from harness.policy.recorded import instances, record_instances
from harness.policy.recorded.instances import CPU, MEMORY, PODS

_MIB = 1 << 20


def test_the_table_agrees_with_ec2() -> None:
    """A newer list may have more types: `make instance-types` adds them."""
    recorded = instances.TABLE.read_text().splitlines()
    current = record_instances.table_text().splitlines()
    known = {line.partition(":")[0]: line.rstrip(",") for line in recorded}
    changed = [
        line
        for line in (each.rstrip(",") for each in current)
        if known.get(line.partition(":")[0], line) != line
    ]
    assert changed == []
    assert len(recorded) > 1000


def test_only_gpus_that_pods_can_use_count() -> None:
    usable = ("g4dn.xlarge", "g5.xlarge", "g6f.large", "gr6.4xlarge", "p3.2xlarge", "p5en.48xlarge")
    for name in usable:
        known = instances.find(name)
        assert known
        assert known.runs_cuda, name
        assert known.gpus >= 1
    for name in ("m7i.large", "g4ad.xlarge", "g5g.xlarge", "trn1.2xlarge"):
        known = instances.find(name)
        assert known
        assert not known.runs_cuda, name


def test_an_unknown_type_is_unknown() -> None:
    assert instances.find("g99.xlarge") is None


def test_a_node_leaves_what_eks_leaves() -> None:
    """https://docs.aws.amazon.com/eks/latest/userguide/choosing-instance-type.html"""
    g5 = instances.find("g5.xlarge")
    assert g5
    room = g5.allocatable(100, g5.pods())
    assert room[PODS] == 58
    assert float(room[CPU]) == 3.92
    # 255 MiB and 11 for each pod are reserved, 100 evict; what the kernel keeps is estimated.
    assert 13 * 1024 < room[MEMORY] / _MIB < 16384 - 255 - 58 * 11 - 100


def test_prefixes_give_more_pods_up_to_a_bound() -> None:
    small, large = instances.find("t3.small"), instances.find("m7i.24xlarge")
    assert small
    assert large
    assert (small.pods(), small.pods(by_prefix=True)) == (11, 110)
    assert large.pods(by_prefix=True) == 250
