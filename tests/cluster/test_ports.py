"""A cluster's ports are its own."""

from dataclasses import astuple

from harness.cluster.ports import Ports


def test_ports_are_none_that_somebody_will_listen_on() -> None:
    later = set(range(12_000, 29_900))
    *single, health = astuple(Ports.free(later))
    ports = [*single, *health]
    assert len(set(ports)) == len(ports)
    assert later.isdisjoint(ports)
