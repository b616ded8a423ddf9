"""The GPUs of instance types are those that EC2 names."""

import gzip
import json
from importlib.resources import files

from harness.policy.eks import gpus

FAMILIES = ("g4dn", "g5", "g6", "g6e", "p4d", "p4de", "p5", "p5e")


def test_gpus_are_those_of_ec2() -> None:
    table = files("moto.ec2.resources") / "instance_types.json.gz"
    types = json.loads(gzip.decompress(table.read_bytes()))
    expected = {
        name: sum(gpu["Count"] for gpu in about["GpuInfo"]["Gpus"])
        for name, about in types.items()
        if name.partition(".")[0] in FAMILIES
    }
    assert len(expected) > 30
    assert {name: gpus(name) for name in expected} == expected


def test_an_instance_without_gpus_has_none() -> None:
    assert gpus("m7i.large") == gpus("") == 0
