"""What Flux will read: the image, the archives, and a main branch with the local changes."""

from collections.abc import Iterator
from pathlib import Path

from harness.aws import AwsError
from harness.bootstrap.installation import UNSET, Installation
from harness.bootstrap.step import Inspection
from harness.core import command
from harness.core.errors import HarnessError
from harness.core.git import Git
from harness.core.values import dig, items, text
from harness.image_sets import DEFAULT, ImageSet
from harness.render import placeholders, rollout, tree
from harness.render.renderer import pinned_commit
from harness.render.tree import Tree
from harness.settings import gates

_SECONDS = 120  # for Git to fetch main
_NO_IMAGE = ("ImageNotFoundException", "RepositoryNotFoundException")
_NO_OBJECT = ("403", "404", "NoSuchKey", "NotFound")  # 403: without the right to list
_BASE = (
    f"write the digest of the base into {placeholders.CONTAINERFILE} (`make image-base` shows how)"
)
_BUILD = (
    "run the workflow `image`, which needs GitHub's environment `staging` (docs/workflows.md), and "
    "merge its pull request; or: make image{0}, push it, make image-pin{0} DIGEST=sha256:…"
)
_SHOWN = 8  # files or places that a message names


def inspect_image(installation: Installation) -> Inspection:
    """Check whether the registry has the image that Git names, of each set that a group runs."""
    source = _source(installation, tree.working(installation.repository))
    inspections = [
        _inspect_image(installation, source, each) for each in _sets(installation, source)
    ]
    lines = tuple(line for each in inspections for line in each.lines)
    manual = dict.fromkeys(each.manual for each in inspections if each.manual)
    return Inspection(lines, manual="\n".join(manual))


def _inspect_image(installation: Installation, source: Tree, image_set: ImageSet) -> Inspection:
    file = str(image_set.release)
    digest = text(source.documents(file)[0].value, "spec", "values", "image", "digest")
    registry = installation.value("REGISTRY")
    name = f"{registry}/torchserve@{digest}"
    if digest == UNSET:
        lines = [f"{file} names no digest", *_unset_base(installation)]
        return Inspection(tuple(lines), manual=_remedy(installation, file))
    if ".dkr.ecr." not in registry:
        return Inspection((f"{name} (not checked: the registry is not AWS's)",))
    repository = f"{registry.partition('/')[2]}/torchserve"
    try:
        installation.aws.read(
            "ecr",
            "describe_images",
            repositoryName=repository,
            imageIds=[{"imageDigest": digest}],
        )
    except AwsError as error:
        if error.code in _NO_IMAGE:
            return Inspection((f"{name} not found",), manual=_remedy(installation, file))
        raise
    return Inspection((name,))


def _sets(installation: Installation, source: Tree) -> list[ImageSet]:
    """The image sets that the groups of the environment run, the default first."""
    names = set(rollout.packages_of_groups(source, installation.env).groups.values())
    return [ImageSet(name) for name in sorted(names, key=lambda each: (each != DEFAULT, each))] or [
        ImageSet(DEFAULT)
    ]


def inspect_models(installation: Installation) -> Inspection:
    """Check whether the bucket has the archives that Git names."""
    source = _source(installation, tree.working(installation.repository))
    bucket = installation.value("MODEL_BUCKET")
    paths = _model_files(installation, source)
    files = _archives(source, paths)
    unset = [text(each, "name") for each in files if text(each, "sha256") == UNSET]
    if unset:
        lines = tuple(f"{name} was never built and locked" for name in unset)
        return Inspection(lines, manual=_remedy(installation, paths[0]))
    lacking = tuple(
        line for each in files for line in _archive_problems(installation, bucket, each)
    )
    if lacking:
        return Inspection(
            lacking,
            manual=_copy_command(installation) or f"make models-push ENV={installation.env}",
        )
    return Inspection((f"s3://{bucket}: {len(files)} archives",))


def inspect_main(installation: Installation) -> Inspection:
    """Check whether main has the environment's files as they are here, with no UNSET."""
    working = tree.working(installation.repository)
    main = tree.at_commit(installation.repository, fetch(installation))
    names = sorted({*_read(installation, working), *_read(installation, main)})
    other = [name for name in names if _text(working, name) != _text(main, name)]
    if other:
        return Inspection(
            _some([f"{name} is not what main has" for name in other]),
            manual="commit, have it reviewed and merged into main, then: git pull",
        )
    open_ = {name: places for name in names if (places := list(_unset(main, name)))}
    if open_:
        lines = [f"{place} is {UNSET}" for places in open_.values() for place in places]
        remedies = dict.fromkeys(_remedy(installation, name) for name in open_)
        return Inspection(_some(lines), manual="\n".join(remedies))
    return Inspection((f"main at {main.commit[:12]}",))


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
    commit = pinned_commit(main, installation.env)
    return tree.at_commit(installation.repository, commit) if commit else main


def _model_files(installation: Installation, source: Tree) -> list[str]:
    """What each group of the environment lists; in an old commit, the one list of all."""
    app = f"apps/torchserve/{installation.env}"
    return [name for name in source.files(app) if name.endswith("/model-files.yaml")]


def _archives(source: Tree, paths: list[str]) -> list[object]:
    """The archives that the lists name, each once."""
    listed = [
        each
        for path in paths
        for each in items(source.documents(path)[0].value, "modelStore", "files")
    ]
    return list({text(each, "name"): each for each in listed}.values())


def _some(lines: list[str]) -> tuple[str, ...]:
    """As many lines as one reads."""
    more = len(lines) - _SHOWN
    return tuple(lines if more <= 0 else [*lines[:_SHOWN], f"… and {more} more"])


def _text(files: Tree, name: str) -> str | None:
    return files.text(name) if (files.root / name).is_file() else None


def _unset(files: Tree, name: str) -> Iterator[str]:
    """The places of a file that are UNSET, comments left out."""
    for number, line in enumerate(files.text(name).splitlines(), start=1):
        if placeholders.UNSET.search(line.partition("# ")[0]):
            yield f"{name}:{number}"


def _archive_problems(installation: Installation, bucket: str, file: object) -> Iterator[str]:
    """What is wrong with an archive in the bucket."""
    name = text(file, "name")
    try:
        head = installation.aws.read("s3", "head_object", Bucket=bucket, Key=name)
    except AwsError as error:
        if error.code not in _NO_OBJECT:
            raise
        yield f"{name} is not in s3://{bucket}"
        return
    if head["ContentLength"] != dig(file, "size"):
        yield f"{name} in s3://{bucket} has {head['ContentLength']:,} bytes"


def _remedy(installation: Installation, name: str) -> str:
    """What fills in an UNSET of a file."""
    env = installation.env
    if name.endswith("/release.yaml") and (
        source := gates.sources(installation.repository).get(env)
    ):
        return f"make promote FROM={source} TO={env}"
    if name.endswith("/helmrelease.yaml"):
        base = f"{_BASE}\n" if _unset_base(installation) else ""
        build = _BUILD.format(f" SET={Path(name).parent.name}" if "/sets/" in name else "")
        return _copy_command(installation) or base + build
    if name.startswith("apps/"):
        return "make lock"
    return f"harness init --env {env}"


def _unset_base(installation: Installation) -> list[str]:
    """What stops a build of the image; nothing where its base has a digest, or it is a copy."""
    path = installation.repository.root / placeholders.CONTAINERFILE
    unset = placeholders.unset_bases(path.read_text()) and not _copy_command(installation)
    return [f"{placeholders.CONTAINERFILE} names no base"] if unset else []


def _copy_command(installation: Installation) -> str:
    """How an environment gets what another has proven; empty for one that builds its own."""
    source = gates.sources(installation.repository).get(installation.env)
    return f"make release-copy FROM={source} TO={installation.env}" if source else ""
