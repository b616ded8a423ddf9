"""Somebody's clone of what two local clusters follow: what they type, from a model to production.

Git, Flux, TorchServe, the registry and its signatures are real. AWS is moto; pods are kwok's, so
the load goes to TorchServes on this machine, one for each group, that serve the same commit.
"""

import datetime
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import boto3
import yaml

from harness import image_sets
from harness.attestation import signature
from harness.core import command
from harness.core.git import Git
from tests.e2e.two_clusters import BOTH, REGION, TwoClusters, bucket

MODEL = "silero_vad"
SECOND_GROUP, SECOND_MODEL = "text", "magika"
SECOND_SET = "onnx-1"
_MODEL_FILE = f"models/{MODEL}/model.yaml"
_HANDLER = f"models/{MODEL}/handler.py"
_PREDICT = "        answers: list = [None] * len(inputs)\n"
_SLOW = "        import time\n\n        time.sleep(6)\n"
_SECONDS = 300.0  # for any one command: a load test with its server takes 40
_PROFILE = {
    "arrivals": "constant",
    "timeout": 20,
    "maxInFlight": 64,
    # Most of it to the model that gets slow: the median has to show it.
    "mix": [{"model": MODEL, "weight": 3}, {"model": SECOND_MODEL}],
    "stages": [
        {"kind": "warm-up", "seconds": 2, "rate": 2},
        {"kind": "hold", "seconds": 12, "rate": 2},
    ],
    # Three clusters share two cores with the servers: many times what they take alone.
    "slos": [{"latency": {"p50": 4000}, "errorRate": 0, "dropped": 0}],
    # It is the servers that are judged here, on a machine that does other things too.
    "judge": {"lateness": 500, "generatorCpu": 1, "drift": 10},
}
_GATES = {
    "from": "staging",
    "soakHours": 0.001,
    "signedReports": True,
    "signedImage": {"key": "clusters/cosign.pub"},
    "embedded": True,
}

_SOON = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=90)
_OPEN = {
    "rule": "promotion/gates",
    "object": "promotion.yaml/*",
    "reason": "a rehearsal: nobody waits a day, and pods are kwok's",
    "expires": _SOON,
}
_UNTESTED = {
    "rule": "helm/tested",
    "object": "HelmRelease/flux-system/*",
    "reason": "kwok's pods answer nothing, a Helm test neither",
    "expires": _SOON,
}
_FIRST = {
    "rule": "promotion/evidence",
    "object": "GitRepository/flux-system/release",
    "reason": "the first release, before there was anything to compare it with",
    "expires": _SOON,
}


@dataclass(frozen=True)
class UserClone:
    """A clone and everything around it.

    Attributes:
        root: of the clone.
        key: signs reports and releases.
        env: the variables of whoever types.
    """

    root: Path
    key: Path
    two_clusters: TwoClusters
    env: dict[str, str]

    @property
    def git(self) -> Git:
        return Git(self.root)

    def harness(self, *words: str, code: int = 0) -> str:
        """Type ``harness …``; return what it prints."""
        argv = [sys.executable, "-m", "harness", *words]
        result = command.run(argv, cwd=self.root, timeout=_SECONDS, env=self.env, accept=range(256))
        output = f"harness {' '.join(words)}: {result.returncode}\n{result.stdout}\n{result.stderr}"
        assert result.returncode == code, output
        return result.stdout

    def model(self, version: str, *, slow: bool = False) -> None:
        """A new version of the model: built, locked, pushed, in everybody's settings."""
        file = self.root / _MODEL_FILE
        lines = file.read_text().splitlines(keepends=True)
        file.write_text(
            "".join(f"version: {version}\n" if x.startswith("version:") else x for x in lines)
        )
        if slow:
            handler = self.root / _HANDLER
            text = handler.read_text()
            assert _PREDICT in text
            handler.write_text(text.replace(_PREDICT, _PREDICT + _SLOW))
        self.harness("models", "build")
        self.harness("models", "lock")
        self.harness("models", "push", "--env", "staging")
        self.harness("snapshot", "write", "--all")

    def image_set(self, digest: str) -> None:
        """The second group on an image set of its own, in every environment.

        Its packages are the default's: two that exclude each other would come from the network.

        Args:
            digest: of its image.
        """
        self.harness("sets", "add", SECOND_SET, SECOND_MODEL)
        image_set = image_sets.find(self.root, SECOND_SET)
        default = image_sets.find(self.root, image_sets.DEFAULT)
        shutil.copy(self.root / default.lock, self.root / image_set.lock)
        shutil.copy(self.root / default.requirements, self.root / image_set.requirements)
        for each in ("local", *BOTH):
            path = self.root / "apps/torchserve" / each / SECOND_GROUP / "kustomization.yaml"
            path.write_text(f"{path.read_text()}components:\n  - ../../sets/{SECOND_SET}\n")
        self.harness("image", "pin", digest, "--set", SECOND_SET)

    def check(self) -> None:
        """`harness check` finds nothing."""
        self.harness("check")

    def excuse(self, *meant: dict[str, object]) -> None:
        """What is known and meant, beside what a rehearsal has to open and to leave out."""
        text = yaml.safe_dump({"exceptions": [_OPEN, _UNTESTED, *meant]})
        (self.root / "exceptions.yaml").write_text(text)

    def propose(self, message: str) -> None:
        """What a pull request is, and its merge: a branch, a check, main."""
        self.git.run("switch", "--quiet", "--create", "topic")
        self.git.run("add", "--all")
        self.check()
        self.git.run("commit", "--quiet", "--message", message)
        self.git.run("switch", "--quiet", "main")
        self.merge("topic")
        self.git.run("branch", "--quiet", "--delete", "topic")

    def merge(self, branch: str) -> str:
        """Merge a branch into main, and push; return main's commit."""
        self.git.run("merge", "--quiet", "--no-ff", "--no-edit", branch)
        return self.push()

    def revert(self) -> str:
        """Take the last merge back, and push."""
        self.git.run("revert", "--no-edit", "--mainline", "1", "HEAD")
        return self.push()

    def push(self) -> str:
        self.git.run("push", "--quiet", "origin", "main")
        return self.git.run("rev-parse", "HEAD")

    def prove(self, *, code: int = 0) -> None:
        """Load and look at what staging runs, and keep the signed reports."""
        self.harness("loadtest", "run", "--env", "staging", "--embedded", code=code)
        self.harness("smoke", "--env", "staging")
        for kind in ("loadtest", "smoke"):
            report = f"build/{kind}/staging/report.json"
            self.harness("release", "evidence", report, "--env", "staging", "--key", str(self.key))

    def promote(self, *, code: int = 0) -> str:
        return self.harness("release", "promote", "--key", str(self.key), code=code)


def prepare(two_clusters: TwoClusters, folder: Path, endpoint: str) -> UserClone:
    """A clone whose staging and production have all that a promotion looks at, but no commit."""
    repository = two_clusters.staging.repository
    root, key = folder / "clone", folder / "key"
    command.run(["git", "clone", "--quiet", two_clusters.staging.bare.path, root], timeout=60)
    (root / "build").mkdir()
    (root / "build" / "tools").symlink_to(repository.build / "tools")
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ada", "-f", key]
    command.run(argv, timeout=60)
    env = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "KUBECONFIG": str(two_clusters.staging.kubeconfig),
        "UV_OFFLINE": "1",  # an image set's packages are in its cache since `make setup`
    }
    clone = UserClone(root, key, two_clusters, env)
    for name, value in (("user.name", "Ada"), ("user.email", "ada@example.com")):
        clone.git.run("config", name, value)
    shutil.copy(two_clusters.registry.public_key, root / "clusters" / "cosign.pub")
    signs = f'namespaces="{signature.EVIDENCE},{signature.RELEASE}"'
    signer = f"ada@example.com {signs} {key.with_suffix('.pub').read_text()}"
    (root / "clusters" / "allowed_signers").write_text(signer)
    # Production's first release is pinned by hand; nothing comes from the network here.
    clone.excuse(_FIRST)
    models = {path.parent.name for path in (root / "models").glob("*/model.yaml")}
    for name in models - {MODEL, SECOND_MODEL}:
        shutil.rmtree(root / "models" / name)
    (root / "models" / "lock.yaml").unlink()
    clone.harness("models", "build")
    clone.harness("models", "lock")
    for each in ("local", *BOTH):
        _serve_one(root / "apps" / "torchserve" / each / "torchserve")
        clone.harness("groups", "add", SECOND_GROUP, SECOND_MODEL, "--env", each)
        (root / "clusters" / each / "loadtest.yaml").write_text(yaml.safe_dump(_PROFILE))
    (root / "clusters" / "production" / "promotion.yaml").write_text(yaml.safe_dump(_GATES))
    for each in BOTH:
        _bucket(endpoint, each)
    return clone


def _serve_one(group: Path) -> None:
    """The first group's one model; two servers of it in production."""
    serving = yaml.safe_load((group / "serving.yaml").read_text())
    (group / "serving.yaml").write_text(yaml.safe_dump({**serving, "models": {MODEL: {}}}))
    if group.parent.name == "production":
        release = yaml.safe_load((group / "helmrelease.yaml").read_text())
        release["spec"]["values"]["replicas"] = 2
        (group / "helmrelease.yaml").write_text(yaml.safe_dump(release, sort_keys=False))


def _bucket(endpoint: str, env: str) -> None:
    s3 = boto3.client("s3", region_name=REGION, endpoint_url=endpoint)
    where = {"LocationConstraint": REGION}
    s3.create_bucket(Bucket=bucket(env), CreateBucketConfiguration=where)
