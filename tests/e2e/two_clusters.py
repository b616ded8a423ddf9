"""Two clusters that follow one repository: staging what is on main, production what it pins."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from harness.core.repository import Repository
from harness.kubernetes import reconciliation
from harness.local_cluster import local
from harness.local_cluster.local import LocalCluster
from tests.e2e import registry
from tests.e2e.registry import Registry

_RELEASE = "clusters/production/release.yaml"
_PROPERTIES = "apps/torchserve/{}/torchserve/config.properties"
_IMAGE = "apps/torchserve/base/helmrelease.yaml"
BOTH = ("staging", "production")
REGION, ACCOUNT = "us-west-2", "123456789012"  # the account is the imitation's


@dataclass
class TwoClusters:
    """Staging, whose Git server both fetch from, and production."""

    staging: LocalCluster
    production: LocalCluster
    registry: Registry

    def derive(self) -> str:
        """Staging and production folders made from local's; production pins the commit of it."""
        bare = self.staging.bare
        self.staging.take()
        changes: dict[str, str | None] = {}
        for env in BOTH:
            for parent in ("clusters", "apps/torchserve"):
                changes |= dict.fromkeys(bare.files(f"{parent}/{env}"))
                for path in bare.files(f"{parent}/local"):
                    text = bare.read(path).replace(
                        "apps/torchserve/local", f"apps/torchserve/{env}"
                    )
                    changes[path.replace("/local/", f"/{env}/")] = text
            path = f"clusters/{env}/site.yaml"
            changes[path] = self._site(str(changes[path]), env)
        pinned = re.sub("digest: sha256:.*", f"digest: {self.registry.digest}", bare.read(_IMAGE))
        changes[_IMAGE] = pinned
        return self.pin(bare.commit(changes, "Two environments like local"))

    def _site(self, text: str, env: str) -> str:
        """Local's site.yaml as the environment's own."""
        values = yaml.safe_load(text)
        values["data"] |= {
            "ENVIRONMENT": env,
            "AWS_ACCOUNT_ID": ACCOUNT,
            "REGISTRY": f"{self.registry.address}/{env}",
            "MODEL_BUCKET": bucket(env),
            "AWS_REGION": REGION,
        }
        return str(yaml.safe_dump(values, sort_keys=False))

    def pin(self, commit: str) -> str:
        """Move production's pointer in a commit on main, and return that commit."""
        bare = self.staging.bare
        head, _, _ = bare.read(_RELEASE).partition("    commit:")
        head, _, _ = head.partition("    branch:")
        return bare.commit({_RELEASE: f"{head}    commit: {commit}\n"}, f"Pin {commit[:12]}")

    def change(self, value: int) -> str:
        """A setting changed in both environments, on main."""
        bare = self.staging.bare
        changes: dict[str, str | None] = {}
        for env in BOTH:
            path = _PROPERTIES.format(env)
            lines = bare.read(path).splitlines(keepends=True)
            changes[path] = "".join(
                f"job_queue_size={value}\n" if line.startswith("job_queue_size=") else line
                for line in lines
            )
        return bare.commit(changes, f"Queue {value}")

    def sync(self, commit: str) -> None:
        for cluster in (self.staging, self.production):
            reconciliation.request(cluster.api)
        for cluster in (self.staging, self.production):
            cluster.sync(commit)


@contextmanager
def running(checkout: Repository) -> Iterator[TwoClusters]:
    """Both, Ready, for as long as the block runs."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        registry.running(checkout, Path(scratch)) as images,
        local.running(checkout, "e2e-staging") as staging,
        local.running(checkout, "e2e-production") as production,
    ):
        two_clusters = TwoClusters(staging, production, images)
        commit = two_clusters.derive()
        for cluster, env in zip((staging, production), BOTH, strict=True):
            cluster.follow(env, staging.url)
        two_clusters.sync(commit)
        yield two_clusters


def bucket(env: str) -> str:
    """The name of an environment's bucket."""
    return f"{env}-models"
