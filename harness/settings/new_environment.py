"""A new environment: the files of another, with its own name and none of the other's resources.

    folders = new_environment.create(repository, "dev", like="staging")

What belongs to the other's installation (its bucket, its file system, its roles, the commit that it
pins and the evidence for it) is left out or becomes ``UNSET``; its owner's addresses stay.
"""

import re
import shutil
import tempfile
from pathlib import Path

from harness.core import files, yamlfile
from harness.core.errors import UsageError
from harness.core.repository import Repository
from harness.settings import site

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?")
_SHARED = (
    *("GIT_URL", "AWS_REGION", "AWS_ZONE_1", "AWS_ZONE_2", "AWS_ZONE_3", "CLUSTER_NAME"),
    *("ACME_EMAIL", "JWT_ISSUER", "JWT_JWKS_URI"),
)
"""Settings that a second environment of the same owner usually has in common with the first."""
# eksctl takes no UNSET for a network: this one belongs to nobody (RFC 5737).
_FORGOTTEN = {"ADMIN_CIDR": "192.0.2.0/24"}
# What promotes to the other does not promote to the new one, and a file system belongs to one.
_LEFT_OUT = ("evidence", "promotion.yaml")
_TAKEN_OVER = re.compile(r"(?m)^fileSystem:.*\n")
_COMMENT = re.compile(r"(?m)(?:^ *#(?! yaml-language-server).*\n)+")
_PINNED = re.compile(r"(?m)^( *)commit: .*$")


def create(repository: Repository, env: str, like: str) -> list[Path]:
    """Copy an environment's two folders under a new name.

    Args:
        repository: where both lie.
        env: the new environment.
        like: the one to copy; one without a cluster on EKS gives one without.

    Returns:
        The folders that were made.

    Raises:
        UsageError: the name does not fit, the environment exists, or the other cannot be copied.
    """
    if not _NAME.fullmatch(env):
        raise UsageError(
            f"{env!r} is not a name for an environment",
            hint="lowercase letters, digits and hyphens, 20 at most, such as dev",
        )
    sources = (repository.cluster(like), repository.app(like))
    targets = [source.with_name(env) for source in sources]
    for target in targets:
        if target.exists():
            raise UsageError(f"{target.relative_to(repository.root)} already exists")
    others = set(repository.environments) - {like, "local"}
    of_others = re.compile(rf"(?i)\b(?:{'|'.join(map(re.escape, (*others, 'promot')))})")
    created: list[Path] = []
    try:
        with tempfile.TemporaryDirectory(dir=repository.root, prefix=".new-") as scratch:
            copies = [Path(scratch, target.parent.name) for target in targets]
            for source, copy in zip(sources, copies, strict=True):
                _copy(source, copy, like, env, of_others)
            for copy, target in zip(copies, targets, strict=True):
                copy.rename(target)
                created.append(target)
        _unset(repository, env)
    except BaseException:
        discard(created)
        raise
    return created


def discard(folders: list[Path]) -> None:
    """Remove what ``create`` made, or was to be made."""
    for folder in filter(Path.exists, folders):
        shutil.rmtree(folder)


def _copy(source: Path, copy: Path, like: str, env: str, of_others: re.Pattern[str]) -> None:
    """Copy a folder, without the comments that are about other environments."""
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    for path in filter(Path.is_file, copy.rglob("*")):
        text = yamlfile.read_text(path)
        if path.suffix in (".yaml", ".yml"):
            text = _COMMENT.sub(lambda block: "" if of_others.search(block[0]) else block[0], text)
        for old, new in ((like, env), (like.capitalize(), env.capitalize())):
            text = re.sub(rf"\b{re.escape(old)}\b", new, text)
        if path.name == "efs.yaml":
            text = _TAKEN_OVER.sub("", text)
        if path.name == "release.yaml":
            text = _PINNED.sub(r"\1branch: main", text)
        files.write(path, text)


def _unset(repository: Repository, env: str) -> None:
    """Forget what belongs to the other's installation, and name the cluster for this one."""
    values = site.values(repository, env)
    forgotten = {name: _FORGOTTEN.get(name, site.UNSET) for name in values if name not in _SHARED}
    changed = {name: value for name, value in forgotten.items() if values[name] != value}
    if "CLUSTER_NAME" in values:
        changed["CLUSTER_NAME"] = f"torchserve-{env}"
    site.fill(repository, env, changed)
