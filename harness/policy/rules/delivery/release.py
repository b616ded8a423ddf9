"""The release: everything that runs comes from one commit, and production says which."""

import re
from collections.abc import Iterator
from pathlib import Path

from harness.chart.generate import generate
from harness.core.errors import InputError, Location
from harness.core.fix import APPEND, REMOVED, run, set_at
from harness.core.problem import Problem
from harness.core.values import items, mapping, text
from harness.image_sets import DEFAULT, ImageSet
from harness.policy.facts.graph import Graph
from harness.policy.facts.serving import FILES, Server, servers
from harness.policy.facts.site import without
from harness.policy.finding import changed_line
from harness.policy.project import Project
from harness.policy.rule import problem, rule
from harness.render import artifact
from harness.render.objects import Object
from harness.render.rendered import Environment

NAME = "release"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ADDRESS = re.compile(r"-([0-9a-f]{12})\.mar$")  # an adopted store may have other names
_LISTED = {"release.yaml", "site.yaml", "infra.yaml", "apps.yaml"}
_CHART = "apps/torchserve/chart"
_CHART_PATH = ("spec", "chart", "spec", "chart")
_CHART_SOURCE = ("spec", "chart", "spec", "sourceRef", "kind")


def _release(environment: Environment) -> Object | None:
    return environment.find("GitRepository", NAME, "flux-system")


@rule(
    "release/pointer",
    why="production runs what was proven, by its commit: a branch or a tag moves under it; staging "
    "proves what is on main, and nothing else gets promoted",
    fix="production: ref: {commit: <40 hexadecimal digits>}, set by `harness release promote`; "
    "elsewhere ref: {branch: main}",
    references=("Flux audit: immutable references in production",),
)
def pointer(project: Project) -> Iterator[Problem]:
    for environment in project.environments.values():
        source = _release(environment)
        reference = mapping(source and source.value, "spec", "ref")
        if source and environment.name in project.sources:
            if set(reference) != {"commit"} or not _COMMIT.fullmatch(text(reference, "commit")):
                yield problem(source, "does not pin one commit alone", "spec", "ref")
        elif source and reference != {"branch": "main"}:
            yield problem(source, "does not follow main", "spec", "ref", to={"branch": "main"})


@rule(
    "release/from-release",
    why="what is read from another source changes without the pinned commit",
    fix="sourceRef: {kind: GitRepository, name: release}",
)
def from_release(environment: Environment) -> Iterator[Problem]:
    for item in Graph(environment).kustomizations.values():
        if text(item.value, "spec", "sourceRef", "name") != NAME:
            yield problem(
                item, "does not come from the release", "spec", "sourceRef", "name", to=NAME
            )
    for item in environment.of("HelmRelease"):
        where = ("spec", "chart", "spec", "sourceRef")
        reference = mapping(item.value, *where)
        if reference.get("kind") == "GitRepository" and reference.get("name") != NAME:
            yield problem(item, "does not come from the release", *where, "name", to=NAME)


@rule(
    "release/sparse-checkout",
    why="what is not checked out is not in the artifact: Flux says that the path does not exist",
    fix="list its first folder under sparseCheckout in release.yaml",
)
def reads(environment: Environment) -> Iterator[Problem]:
    source = _release(environment)
    listed = [str(each) for each in items(source and source.value, "spec", "sparseCheckout")]
    if not source or not listed:
        return
    absent: dict[str, list[str]] = {}
    for item in (*Graph(environment).kustomizations.values(), *environment.of("HelmRelease")):
        ours = item.kind == "Kustomization" or text(item.value, *_CHART_SOURCE) == "GitRepository"
        path = ("spec", "path") if item.kind == "Kustomization" else _CHART_PATH
        folder = Path(text(item.value, *path))
        if ours and folder.parts and not any(folder.is_relative_to(each) for each in listed):
            absent.setdefault(folder.parts[0], []).append(f"{folder} of {item}")
    for name, readers in absent.items():
        message = f"{name} is not checked out, and {' and '.join(readers[:2])} is read"
        yield problem(source, message, "spec", "sparseCheckout")
    for file in environment.files:
        # A list of beginnings, as go-git reads it: `apps` is apps-old/ too.
        if not file.startswith((*(each.removeprefix("./") for each in listed), *absent)):
            message = "is read, and in no folder that release checks out"
            yield Problem(message, Location(Path(file), 1))


@rule(
    "release/apart",
    why="clusters/ is read from main and the rest from the pinned commit: a file of clusters/ that "
    "the rest reads is that commit's, and not the one that main shows and every gate checks",
    fix="move the file below apps or infra",
)
def apart(environment: Environment) -> Iterator[Problem]:
    for file in environment.released:
        if not file.startswith(tuple(f"{folder}/" for folder in artifact.RELEASED)):
            yield Problem("is read from the pinned commit", Location(Path(file), 1))


@rule(
    "release/one-url",
    why="the repository stands in four places: where they differ, Flux reads two repositories or "
    "tells another one what it did",
    fix="give release.yaml, site.yaml's GIT_URL, FluxInstance's sync and the Provider the same URL",
)
def one_url(environment: Environment) -> Iterator[Problem]:
    source, site = _release(environment), environment.find("ConfigMap", "site", "flux-system")
    instance = environment.find("FluxInstance", "flux")
    provider = environment.find("Provider", "workflows")
    url = text(source and source.value, "spec", "url")
    for item, path in (
        (site, ("data", "GIT_URL")),
        (instance, ("spec", "sync", "url")),
        (provider, ("spec", "address")),
    ):
        if item and source and text(item.value, *path) != url:
            yield problem(item, f"{item.dig(*path)} is not {url} of release.yaml", *path, to=url)


@rule(
    "release/one-image",
    why="staging proves the images that production will run; another one is proven by nobody, and "
    "`harness image pin` does not reach it",
    fix="name the image in apps/torchserve/base alone, and that of an image set in its own folder",
)
def one_image(project: Project) -> Iterator[Problem]:
    for source, target in project.promotions:
        ours, theirs = without(source), without(target)
        others = {
            group for each in (source, target) for group in _groups_off_their_set(project, each)
        }
        proven = {server.group: ours(_image(server)) for server in servers(source)}
        for server in servers(target):
            image, group = _image(server), server.group
            if group in others:
                continue
            if proven and theirs(image) not in proven.values():
                yield server.container.problem(f"{image} is not {source.name}'s image", "image")
            elif group in proven and theirs(image) != proven[group]:
                message = f"{image} is what other groups of {source.name} run, and {group} does not"
                yield server.container.problem(message, "image")
    for name in sorted({*project.sources, *project.sources.values()} & project.environments.keys()):
        yield from _groups_off_their_set(project, project.environments[name]).values()


def _groups_off_their_set(project: Project, environment: Environment) -> dict[str, Problem]:
    """The groups that run another image than the one that their image set pins."""
    problems = {}
    for server in servers(environment):
        image_set = ImageSet(environment.installed.groups.get(server.group, DEFAULT))
        for release in project.documents(str(image_set.release)):
            digest = text(release.value, "spec", "values", "image", "digest")
            if digest.startswith("sha256:") and not _image(server).endswith(f"@{digest}"):
                message = f"is not the image of image set {image_set.name}, which is {digest}"
                problems[server.group] = server.container.problem(message, "image")
    return problems


def _image(server: Server) -> str:
    return text(server.container.value, "image")


@rule(
    "release/models",
    why="the launcher refuses an archive that is not the one of the lock; a name that says another "
    "content than its SHA-256 hides which one is meant",
    fix="`harness models lock`, then `make snapshot`: both come from models/lock.yaml",
)
def models(environment: Environment) -> Iterator[Problem]:
    for server in servers(environment):
        for entry in server.files:
            listing = server.mounted[FILES]
            name, sha256 = text(entry, "name"), text(entry, "sha256")
            if not re.fullmatch(r"[0-9a-f]{64}", sha256):
                yield problem(listing.owner, f"{name} has no SHA-256", *listing.path)
            elif (address := _ADDRESS.search(name)) and address[1] != sha256[:12]:
                yield problem(listing.owner, f"{name} is {sha256[:12]}…", *listing.path)


@rule(
    "release/generated-chart",
    why="Flux upgrades when Chart.yaml's version changes: without it a changed template stays in "
    "Git and never runs",
    fix="run `harness generate`",
)
def chart_version(project: Project) -> Iterator[Problem]:
    chart = project.repository.root / _CHART
    try:
        generated = generate(chart)
    except InputError as error:
        yield Problem(error.message, error.at or Location(Path(_CHART)))
        return
    for path, expected in generated.items():
        name = str(path.relative_to(project.repository.root))
        if line := changed_line(project.text(name), expected):
            message = "is not what `harness generate` writes"
            yield Problem(message, Location(Path(name), line), fix=run("harness", "generate"))


@rule(
    "release/entry-point",
    why="Flux applies every file that the entry point lists: eksctl.yaml or a load profile is not "
    "an object, and what is left out is never applied",
    fix="list release.yaml, site.yaml, infra.yaml, apps.yaml, and flux-system where there is one",
)
def entry_points(project: Project) -> Iterator[Problem]:
    for name in project.environments:
        path = f"clusters/{name}/kustomization.yaml"
        for document in project.documents(path):
            resources = [str(each) for each in items(document.value, "resources")]
            has_flux = (project.repository.root / "clusters" / name / "flux-system").is_dir()
            expected = _LISTED | ({"flux-system"} if has_flux else set())
            for index, resource in enumerate(resources):
                if resource not in expected:
                    where = document.at(("resources", index))
                    yield Problem(f"lists {resource}", where, fix=set_at(where, REMOVED))
            for missing in sorted(expected - set(resources)):
                at = document.at(("resources",))
                fix = set_at(document.at(("resources", APPEND)), missing)
                yield Problem(f"does not list {missing}", at, fix=fix)
