"""What should run, according to Git: for a cluster, the render of the commit that Flux applied."""

import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness import image_sets
from harness.core import yamlfile
from harness.core.errors import HarnessError, UsageError
from harness.core.repository import Repository
from harness.core.values import Value, dig, items, text
from harness.kubernetes import pod_settings
from harness.models.lock import Lock, LockedModel
from harness.render.rendered import Environment
from harness.snapshot import model_snapshot, properties
from harness.snapshot.config import LOCAL_KEYS, ConfigSnapshot, ModelFile
from harness.snapshot.model_snapshot import ModelSnapshot

NAME = NAMESPACE = "torchserve"
_EFS = "efs.csi.aws.com"
_INTERNAL = "service.beta.kubernetes.io/aws-load-balancer-internal"
_SERVICE_OF_PROXY = ("spec", "provider", "kubernetes", "envoyService")
_PINNED = re.compile(r"^torchserve==([\w.]+)", re.MULTILINE)


@dataclass(frozen=True)
class Expected:
    """What a server should have been started with.

    Attributes:
        config: config.properties.
        may_differ: keys of it that differ where it runs.
        files: the archives that it needs.
    """

    config: Mapping[str, str]
    may_differ: frozenset[str]
    files: tuple[ModelFile, ...]

    @property
    def models(self) -> ModelSnapshot:
        """The models and their settings."""
        return model_snapshot.parse(self.config["model_snapshot"], Path("config.properties"))

    @property
    def lock(self) -> Lock:
        """The archives as a lock; each model's default version comes first."""
        files = {file.name: file for file in self.files}
        archives = {
            (name, version): LockedModel(
                version=version,
                mar=entry.mar_name,
                sha256=files[entry.mar_name].sha256,
                size=files[entry.mar_name].size,
            )
            for name, version, entry in self.models.entries()
        }
        models = {}
        for name in self.models.models:
            [default] = self.models.defaults(name)
            others = tuple(
                each
                for (model, _), each in archives.items()
                if model == name and each.version != default
            )
            models[name] = archives[name, default].model_copy(update={"others": others})
        return Lock(models=models)


def by_snapshot(snapshot: ConfigSnapshot) -> Expected:
    """What the embedded server should run: the snapshot, but for where things are."""
    config = properties.parse(snapshot.config_properties())
    return Expected(config, LOCAL_KEYS, snapshot.model_files)


def by_render(environment: Environment) -> dict[str, Expected]:
    """What the pods of each group should run: the settings in the Deployments that Helm makes.

    Raises:
        HarnessError: the environment does not render to any, or to those of an older chart.
    """
    return {
        group: _by_deployment(manifest, environment.name)
        for group, manifest in deployments(environment).items()
    }


def _by_deployment(deployment: Value, env: str) -> Expected:
    carried = pod_settings.of(deployment)
    if not carried:
        raise HarnessError(
            f"the servers of {env} carry no settings: their chart is an older one",
            hint="check them from the commit that runs, or upgrade (docs/upgrading.md)",
        )
    files = tuple(ModelFile(**each) for each in json.loads(carried["model-files.json"]))
    return Expected(properties.parse(carried["config.properties"]), frozenset(), files)


def deployments(environment: Environment) -> dict[str, Value]:
    """The Deployment of each group, as Helm makes it; it has the group's name.

    Raises:
        HarnessError: there is none, since the environment does not render whole.
    """
    manifests = {
        each.name: each.value
        for each in environment.of("Deployment")
        if each.namespace == NAMESPACE and each.owner.kind == "HelmRelease"
    }
    if not manifests:
        why = "; ".join(fault.message for fault in environment.faults) or "it is not in Git"
        raise HarnessError(
            f"no Deployment in {NAMESPACE} of {environment.name} can be rendered: {why}",
            hint="harness check",
        )
    return manifests


def gpus(environment: Environment) -> int:
    """GPUs of one pod of each group."""
    return sum(
        int(text(container, "resources", "limits", "nvidia.com/gpu") or 0)
        for deployment in deployments(environment).values()
        for container in items(deployment, "spec", "template", "spec", "containers")
    )


def has_efs(environment: Environment) -> bool:
    """Return whether the model store is on EFS."""
    volumes = environment.of("PersistentVolume")
    return any(dig(each.value, "spec", "csi", "driver") == _EFS for each in volumes)


def has_gateway(environment: Environment) -> bool:
    """Return whether requests come through a gateway."""
    return any(True for _ in environment.of("HTTPRoute"))


def has_internal_gateway(environment: Environment) -> bool:
    """Return whether the gateway's load balancer is meant for the VPC alone."""
    return any(
        text(proxy.value, *_SERVICE_OF_PROXY, "annotations", _INTERNAL) == "true"
        for proxy in environment.of("EnvoyProxy")
    )


def torchserve_version(repository: Repository, env: str, group: str) -> str:
    """The version that the requirements of a group's image pin.

    Raises:
        HarnessError: they pin none.
    """
    image_set = image_sets.ImageSet(image_sets.DEFAULT)
    with contextlib.suppress(UsageError):  # a server of a group that Git does not have
        image_set = image_sets.of_group(repository, env, group)
    path = repository.root / image_set.requirements
    if match := _PINNED.search(yamlfile.read_text(path)):
        return match[1]
    raise HarnessError("pins no torchserve", at=path)
