"""A cluster's ports are its own."""

from harness.local_cluster.ports import Ports


def test_ports_are_none_that_somebody_will_listen_on() -> None:
    later = set(range(12_000, 29_900))
    ports = Ports.free(later).numbers
    assert len(set(ports)) == len(ports)
    assert later.isdisjoint(ports)
