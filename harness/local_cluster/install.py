"""What a fresh control plane is given before Flux starts: its kinds, its namespace, the nodes.

    python -m harness.local_cluster.install build/cluster/local

The supervisor runs it once, between the API server and Flux's controllers.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from harness.core.errors import HarnessError
from harness.core.values import Value, dig, items, text
from harness.core.yamlfile import ManifestLoader
from harness.kubernetes import api, kinds
from harness.kubernetes.api import Api, Kind

OBJECTS = "bootstrap.json"
"""In the cluster's folder: ``{"crds": FOLDER, "nodes": [...]}``."""

_SECONDS = 120  # for all kinds to be served; one, and thirty where five clusters start at once
_AT_ONCE = 8


_FLUX = "*-controller@*"  # the modules of Flux among those that the schemas are made from


def definitions(folder: Path, modules: str = "*") -> Iterator[Value]:
    """The CustomResourceDefinitions of some modules in the folder that the catalog keeps."""
    for path in sorted(folder.glob(f"{modules}/*.yaml")):
        for value in yaml.load_all(path.read_text(), Loader=ManifestLoader):
            if dig(value, "kind") == "CustomResourceDefinition":
                yield value


def install(cluster: Api, crds: list[Value], *, seconds: float = _SECONDS) -> None:
    """Apply kinds and wait until they are served.

    Args:
        cluster: where.
        crds: their definitions.
        seconds: how long they may take.

    Raises:
        HarnessError: one is refused or not served in time.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(cluster.apply, crds))
    names = {text(each, "metadata", "name") for each in crds}

    def all_established(definitions_now: list[Value]) -> bool:
        ready = {
            text(each, "metadata", "name")
            for each in definitions_now
            for condition in items(each, "status", "conditions")
            if text(condition, "type") == "Established" and text(condition, "status") == "True"
        }
        return names <= ready

    cluster.wait_for(kinds.CRD, all_established, seconds=seconds, what="every kind to be served")


def installed_objects(folder: Path) -> list[tuple[Kind, str]]:
    """Kind and name of everything that ``prepare`` makes."""
    config = json.loads((folder / OBJECTS).read_text())
    manifests = [*config["nodes"], *definitions(Path(config["crds"]), _FLUX)]
    objects = [
        (Kind(each["apiVersion"], each["kind"]), each["metadata"]["name"]) for each in manifests
    ]
    return [(kinds.NAMESPACE, kinds.FLUX_NAMESPACE), *objects]


def prepare(cluster: Api, folder: Path) -> None:
    """Give a fresh control plane what Flux needs."""
    config = json.loads((folder / OBJECTS).read_text())
    namespace = {"name": kinds.FLUX_NAMESPACE}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": namespace})
    for node in config["nodes"]:
        cluster.apply(node)
        if "status" in node:  # a kubelet reports its node's own
            status = {"status": node["status"]}
            cluster.patch(kinds.NODE, node["metadata"]["name"], status, part="status")
    install(cluster, list(definitions(Path(config["crds"]), _FLUX)))


def main() -> int:
    """Prepare the cluster of a folder."""
    parser = argparse.ArgumentParser(prog="install", description=__doc__)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    try:
        prepare(api.connect(args.folder / "kubeconfig.yaml"), args.folder)
    except HarnessError as error:
        print(error, file=sys.stderr)  # noqa: T201  into its log
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
