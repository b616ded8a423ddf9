"""What Flux will find: the image, the archives, and a main that says what was written here."""

from collections.abc import Iterator

from harness.aws import AwsError
from harness.bootstrap.foundation import SOURCES
from harness.bootstrap.installation import UNSET, Installation
from harness.bootstrap.step import Look
from harness.core import command
from harness.core.errors import HarnessError
from harness.core.git import Git
from harness.core.values import dig, items, text
from harness.render import placeholders, tree
from harness.render.renderer import pinned
from harness.render.tree import Tree

_RELEASE = "apps/torchserve/base/helmrelease.yaml"
_FILES = "apps/torchserve/{}/model-files.yaml"
_SECONDS = 120  # for Git to fetch main
_NO_IMAGE = ("ImageNotFoundException", "RepositoryNotFoundException")
_NO_OBJECT = ("403", "404", "NoSuchKey", "NotFound")  # 403: without the right to list
_BASE = f"write the digest of the base into {placeholders.CONTAINERFILE} (make image-base says how)"
_BUILD = (
    "run the workflow `image`, which needs GitHub's environment `staging` (docs/workflows.md), and "
    "merge its pull request; or: make image, push it, make image-pin DIGEST=sha256:…"
)
_SHOWN = 8  # files or places that a message names


def look_image(installation: Installation) -> Look:
    """Whether the registry has the image that Git names."""
    here = _source(installation, tree.working(installation.repository))
    digest = text(here.documents(_RELEASE)[0].value, "spec", "values", "image", "digest")
    registry = installation.value("REGISTRY")
    name = f"{registry}/torchserve@{digest}"
    if digest == UNSET:
        lines = [f"{_RELEASE} names no digest", *_unset_base(installation)]
        return Look(tuple(lines), person=_remedy(installation, _RELEASE))
    if ".dkr.ecr." not in registry:
        return Look((f"{name} (not asked for: the registry is not AWS's)",))
    repository = f"{registry.partition('/')[2]}/torchserve"
    try:
        installation.aws.ask(
            "ecr",
            "describe_images",
            repositoryName=repository,
            imageIds=[{"imageDigest": digest}],
        )
    except AwsError as error:
        if error.code in _NO_IMAGE:
            return Look((f"{name} is not there",), person=_remedy(installation, _RELEASE))
        raise
    return Look((name,))


def look_models(installation: Installation) -> Look:
    """Whether the bucket has the archives that Git names."""
    here = _source(installation, tree.working(installation.repository))
    path, bucket = _FILES.format(installation.env), installation.value("MODEL_BUCKET")
    wanted = items(here.documents(path)[0].value, "modelStore", "files")
    unset = [text(each, "name") for each in wanted if text(each, "sha256") == UNSET]
    if unset:
        lines = tuple(f"{name} was never built and locked" for name in unset)
        return Look(lines, person=_remedy(installation, path))
    lacking = tuple(line for each in wanted for line in _lacking(installation, bucket, each))
    if lacking:
        return Look(
            lacking, person=_copied(installation) or f"make models-push ENV={installation.env}"
        )
    return Look((f"s3://{bucket}: {len(wanted)} archives",))


def look_main(installation: Installation) -> Look:
    """Whether main says of this environment what is written here, and leaves nothing open."""
    here = tree.working(installation.repository)
    main = tree.at_commit(installation.repository, fetch(installation))
    names = sorted({*_read(installation, here), *_read(installation, main)})
    other = [name for name in names if _text(here, name) != _text(main, name)]
    if other:
        return Look(
            _some([f"{name} is not what main has" for name in other]),
            person="commit, have it reviewed and merged into main, then: git pull",
        )
    open_ = {name: places for name in names if (places := list(_unset(main, name)))}
    if open_:
        lines = [f"{place} is {UNSET}" for places in open_.values() for place in places]
        remedies = dict.fromkeys(_remedy(installation, name) for name in open_)
        return Look(_some(lines), person="\n".join(remedies))
    return Look((f"main at {main.commit[:12]}",))


def fetch(installation: Installation) -> str:
    """Fetch ``main`` from ``origin``, and return its commit.

    Raises:
        HarnessError: there is no such remote or branch, or it cannot be reached.
    """
    git = Git(installation.repository.root)
    try:
        git.run(
            *("fetch", "--quiet", "origin", "main"),
            env={"GIT_TERMINAL_PROMPT": "0"},
            seconds=_SECONDS,
        )
    except command.CommandError as error:
        raise HarnessError(
            f"main cannot be fetched\n{error.message}",
            hint="is origin the repository that the cluster shall follow? `git remote -v`",
        ) from error
    return git.run("rev-parse", "FETCH_HEAD")


def at_main(installation: Installation) -> Tree:
    """What main was when it was fetched last."""
    return tree.at_commit(installation.repository, "FETCH_HEAD")


def _read(installation: Installation, main: Tree) -> Iterator[str]:
    """Every file that Flux reads for the environment, by way of a main, and eksctl.yaml."""
    folder = f"clusters/{installation.env}"
    yield f"{folder}/eksctl.yaml"
    yield from main.closure(folder)
    source = _source(installation, main)
    for file in main.closure(folder):
        for parsed in main.documents(file):
            path = text(parsed.value, "spec", "path").removeprefix("./")
            if text(parsed.value, "kind") == "Kustomization" and path:
                yield from source.closure(path)


def _source(installation: Installation, main: Tree) -> Tree:
    """What infra/ and apps/ are read from: the commit that the environment pins, or main itself."""
    commit = pinned(main, installation.env)
    return tree.at_commit(installation.repository, commit) if commit else main


def _some(lines: list[str]) -> tuple[str, ...]:
    """As many lines as one reads."""
    more = len(lines) - _SHOWN
    return tuple(lines if more <= 0 else [*lines[:_SHOWN], f"… and {more} more"])


def _text(found: Tree, name: str) -> str | None:
    return found.text(name) if (found.root / name).is_file() else None


def _unset(found: Tree, name: str) -> Iterator[str]:
    """The places of a file that are UNSET, comments left out."""
    for number, line in enumerate(found.text(name).splitlines(), start=1):
        if placeholders.UNSET.search(line.partition("# ")[0]):
            yield f"{name}:{number}"


def _lacking(installation: Installation, bucket: str, wanted: object) -> Iterator[str]:
    """What is wrong with an archive in the bucket."""
    name = text(wanted, "name")
    try:
        found = installation.aws.ask("s3", "head_object", Bucket=bucket, Key=name)
    except AwsError as error:
        if error.code not in _NO_OBJECT:
            raise
        yield f"{name} is not in s3://{bucket}"
        return
    if found["ContentLength"] != dig(wanted, "size"):
        yield f"{name} in s3://{bucket} has {found['ContentLength']:,} bytes"


def _remedy(installation: Installation, name: str) -> str:
    """What fills in an UNSET of a file."""
    env = installation.env
    if name.endswith("/release.yaml") and (source := SOURCES.get(env)):
        return f"make promote FROM={source} TO={env}"
    if name == _RELEASE:
        base = f"{_BASE}\n" if _unset_base(installation) else ""
        return _copied(installation) or base + _BUILD
    if name.startswith("apps/"):
        return "make lock"
    return f"harness init --env {env}"


def _unset_base(installation: Installation) -> list[str]:
    """What stops a build of the image; nothing where its base has a digest, or it is a copy."""
    path = installation.repository.root / placeholders.CONTAINERFILE
    unset = placeholders.unset_bases(path.read_text()) and not _copied(installation)
    return [f"{placeholders.CONTAINERFILE} names no base"] if unset else []


def _copied(installation: Installation) -> str:
    """How an environment gets what another has proven; empty for one that builds its own."""
    source = SOURCES.get(installation.env)
    return f"make release-copy FROM={source} TO={installation.env}" if source else ""
