"""Writes what EC2 says of instance types, which moto ships: instance_types.json, and where those
with GPUs are offered, instance_offerings.json.

``python -m harness.policy.recorded.record_instances``, or `make instance-types`.
"""

import gzip
import json
from importlib import resources

from harness.core import files
from harness.core.values import dig, items, text
from harness.policy.recorded import offerings
from harness.policy.recorded.instances import TABLE, find

_RESOURCES = "moto.ec2.resources"
_OFFERINGS = "instance_type_offerings/availability-zone"
_ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}
# What EC2 still runs and describes in some regions only, so that the list of one region lacks it.
# https://docs.aws.amazon.com/ec2/latest/instancetypes/ac.html
_REGIONAL: dict[str, list[object]] = {
    "g4ad.xlarge": [4, 16384, 1, "AMD", "amd64", 2, 4],
    "g4ad.2xlarge": [8, 32768, 1, "AMD", "amd64", 2, 4],
    "g4ad.4xlarge": [16, 65536, 1, "AMD", "amd64", 3, 10],
    "g4ad.8xlarge": [32, 131072, 2, "AMD", "amd64", 4, 15],
    "g4ad.16xlarge": [64, 262144, 4, "AMD", "amd64", 8, 30],
    "p3.2xlarge": [8, 62464, 1, "NVIDIA", "amd64", 4, 15],
    "p3.8xlarge": [32, 249856, 4, "NVIDIA", "amd64", 8, 30],
    "p3.16xlarge": [64, 499712, 8, "NVIDIA", "amd64", 8, 30],
    "p3dn.24xlarge": [96, 786432, 8, "NVIDIA", "amd64", 15, 50],
}


def table_text() -> str:
    """The table as it is written: a line for each type."""
    packed = (resources.files(_RESOURCES) / "instance_types.json.gz").read_bytes()
    rows = {name: _row(about) for name, about in json.loads(gzip.decompress(packed)).items()}
    lines = (f'  "{name}": {json.dumps(row)}' for name, row in sorted((_REGIONAL | rows).items()))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _row(about: object) -> list[object]:
    """What the table keeps of a type: the fields of InstanceType, in their order."""
    gpus = items(about, "GpuInfo", "Gpus")
    # A part of a GPU (g6f) counts as none of it, and is one for its node.
    counts = [dig(each, "LogicalGpuCount") or dig(each, "Count") for each in gpus]
    known = [
        _ARCHITECTURES.get(str(each))
        for each in items(about, "ProcessorInfo", "SupportedArchitectures")
    ]
    return [
        dig(about, "VCpuInfo", "DefaultVCpus"),
        dig(about, "MemoryInfo", "SizeInMiB"),
        sum(each for each in counts if isinstance(each, int)),
        text(gpus[0], "Manufacturer") if gpus else "",
        next(filter(None, known), "other"),
        dig(about, "NetworkInfo", "MaximumNetworkInterfaces"),
        dig(about, "NetworkInfo", "Ipv4AddressesPerInterface"),
    ]


def offerings_text() -> str:
    """Where types with GPUs are offered: for each its regions, with the letters of their zones."""
    offered: dict[str, dict[str, str]] = {}
    for packed in (resources.files(_RESOURCES) / _OFFERINGS).iterdir():
        for each in json.loads(gzip.decompress(packed.read_bytes())):
            known, place = find(each["InstanceType"]), each["Location"]
            # Local zones have longer names, and no nodes of EKS' managed groups.
            if known and known.gpus and place[:-1] == packed.name.partition(".")[0]:
                letters = offered.setdefault(known.name, {})
                letters[place[:-1]] = "".join(sorted({*letters.get(place[:-1], ""), place[-1]}))
    lines = (
        f'  "{name}": {json.dumps(letters, sort_keys=True)}'
        for name, letters in sorted(offered.items())
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    files.write(TABLE, table_text())
    files.write(offerings.TABLE, offerings_text())
