"""Renders an environment from its cluster's entry point, in the order that Flux follows.

    renderer = Renderer(repository)
    staging = renderer.candidate("staging")

``clusters/<env>`` is built first. Each Flux Kustomization found there is built from the tree of
its source and may bring more of them; last, each HelmRelease whose chart lies in the repository
or is a remote chart that was fetched.
"""

import dataclasses
import functools
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from harness import programs, tools
from harness.core.errors import InputError, Location
from harness.core.fix import NOTHING, advise, set_at
from harness.core.problem import Problem
from harness.core.repository import Repository
from harness.core.values import Key, KeyPath, Value, items, mapping, merge, text
from harness.core.yamlfile import Document
from harness.render import (
    flux_objects,
    helm,
    helm_errors,
    kustomize,
    kustomize_errors,
    placeholders,
    post_renderer,
    rollout,
    site_forms,
)
from harness.render.cache import Cache
from harness.render.helm import HelmError
from harness.render.kustomize import KustomizeError
from harness.render.objects import Object, Owner
from harness.render.provenance import FromHelm, FromKustomize, Sources, value_sources
from harness.render.remote_charts import FromRelease, RemoteChart, remote_chart
from harness.render.rendered import Environment, UnsetValue, UnsupportedError
from harness.render.tree import Tree, at_commit, working

CANDIDATE = "candidate"
LIVE = "live"
_ROOT = Owner("Kustomization", "flux-system", "flux-system")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_OURS = "GitRepository"
# What helm-controller reads of a HelmRelease and this render does not: what it would change is
# not in the objects that rules see.
_UNKNOWN: tuple[KeyPath, ...] = (("spec", "chart", "spec", "valuesFiles"),)


class Renderer:
    """Renders environments of one checkout, as it was when the renderer first looked at a file."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.placeholders = placeholders.load()
        self.pins = {name: tools.fingerprint(repository, name) for name in programs.TOOLS}
        self.cache = Cache(repository)
        self.tree = working(repository)
        self.commit = functools.cache(functools.partial(at_commit, repository))
        # A step is a process of its own: two for each core keep the cores busy while one is read.
        self.steps = ThreadPoolExecutor(2 * (os.cpu_count() or 1))

    def environments(self, commit: str = "") -> list[str]:
        """The names under clusters/, of the working tree or of a commit."""
        folders = (self._root(commit).root / "clusters").glob("*")
        return sorted(path.name for path in folders if (path / "kustomization.yaml").is_file())

    def candidate(self, env: str) -> Environment:
        """An environment, all from the working tree."""
        self.repository.cluster(env)
        return _Render(self, env, CANDIDATE, self.tree, self.tree).run()

    def live(self, env: str, commit: str = "") -> Environment | None:
        """An environment's own folder × the commit that it pins; None while it pins none.

        The folder is the working tree's, or that of a commit.
        """
        root = self._root(commit)
        pin = pinned_commit(root, env)
        return _Render(self, env, LIVE, root, self.commit(pin)).run() if pin else None

    def pinning(self, env: str, commit: str) -> Environment:
        """An environment's own folder × a commit: what it runs once it pins it."""
        return _Render(self, env, LIVE, self.tree, self.commit(commit)).run()

    def at(self, env: str, commit: str) -> Environment:
        """An environment, all from one commit."""
        tree = self.commit(commit)
        return _Render(self, env, tree.commit[:12], tree, tree).run()

    def _root(self, commit: str) -> Tree:
        return self.commit(commit) if commit else self.tree

    def build(self, tree: Tree, request: kustomize.Build) -> list[kustomize.BuiltObject]:
        """``kustomize build``, or what it said the last time."""
        key = f"{self.pins['kustomize']} {request.key(tree)}"

        def make() -> object:
            return kustomize.build(tools.find(self.repository, "kustomize"), tree, request)

        return kustomize.read(self.cache.get(key, make))

    def template(self, tree: Tree, request: helm.Template) -> list[tuple[Value, str]]:
        """``helm template``, or what it said the last time."""
        key = f"{self.pins['helm']} {request.key(tree)}"

        def make() -> object:
            def post_render(objects: list[helm.Made]) -> list[helm.Made]:
                program = tools.find(self.repository, "kustomize")
                return post_renderer.apply(program, objects, request.post)

            return helm.render(tools.find(self.repository, "helm"), tree, request, post_render)

        return helm.read(self.cache.get(key, make))


def pinned_commit(tree: Tree, env: str) -> str | None:
    """The commit that ``clusters/<env>/release.yaml`` pins."""
    try:
        documents = tree.documents(f"clusters/{env}/release.yaml")
    except InputError:
        return None
    for parsed in documents:
        commit = text(parsed.value, "spec", "ref", "commit")
        if _COMMIT.fullmatch(commit):
            return commit
    return None


@dataclass
class _Render:
    """One environment while it is being rendered."""

    renderer: Renderer
    env: str
    variant: str
    root: Tree
    release: Tree
    objects: list[Object] = field(default_factory=list)
    unset: list[UnsetValue] = field(default_factory=list)
    faults: list[Problem] = field(default_factory=list)
    charts: list[tuple[Tree, helm.Template]] = field(default_factory=list)
    remote_charts: list[RemoteChart] = field(default_factory=list)
    third_party: list[Object] = field(default_factory=list)
    files: set[str] = field(default_factory=set)
    released: set[str] = field(default_factory=set)
    chart_digests: dict[str, str] = field(default_factory=dict)

    def run(self) -> Environment:
        start = Location(Path(f"clusters/{self.env}"))
        fresh = self._attempt("render/kustomize", start, str(_ROOT), self._root)
        while fresh:
            self.objects += fresh
            due = flux_objects.by_dependency(
                [each for each in fresh if each.kind == "Kustomization"]
            )
            fresh = self._together(self._kustomization, due)
        releases = [each for each in self.objects if each.kind == "HelmRelease"]
        self.objects += self._together(self._helm_release, releases)
        return Environment(
            self.env,
            self.variant,
            tuple(self.objects),
            # Steps end in any order; what is reported about them does not depend on it.
            tuple(sorted(self.unset, key=str)),
            tuple(sorted(self.faults, key=str)),
            tuple(self.charts),
            tuple(self.remote_charts),
            tuple(sorted(self.third_party, key=lambda each: str(each.owner))),
            tuple(sorted(self.files)),
            tuple(sorted(self.released)),
            tuple(sorted(self.chart_digests.items())),
            rollout.packages_of_groups(self.release, self.env),
        )

    def _together(
        self, step: Callable[[Object], list[Object]], subjects: Sequence[Object]
    ) -> list[Object]:
        return [result for results in self.renderer.steps.map(step, subjects) for result in results]

    def _attempt(
        self, rule: str, at: Location, who: str, make: Callable[[], list[Object]]
    ) -> list[Object]:
        """What ``make`` returns; what it cannot do becomes a fault, so that the rest goes on."""
        try:
            return make()
        except InputError as error:
            rule = "render/unknown" if isinstance(error, UnsupportedError) else rule
            # A whole folder has no line: what applies it is named then, and the folder in the text.
            is_place = error.at and (error.at.line or error.at.path.suffix)
            path = f"{error.at}: " if error.at and not is_place else ""
            where = error.at if error.at and is_place else at
            whole = Problem(f"{path}{error.message}", where, fix=advise(error.hint))
            for each in error.problems or (whole,):
                fault = dataclasses.replace(each, object=each.object or who, rule=rule)
                self.faults.append(fault)
            return []

    def _root(self) -> list[Object]:
        return self._build_objects(
            self.root, kustomize.Build(f"clusters/{self.env}", {}, None), _ROOT
        )

    def _kustomization(self, flux: Object) -> list[Object]:
        return self._attempt(
            "render/kustomize",
            flux.at("spec", "path"),
            str(flux),
            lambda: self._build_objects(
                *self._build_request(flux),
                Owner(flux.kind, flux.namespace, flux.name),
                functools.partial(flux_objects.patches, flux),
            ),
        )

    def _build_request(self, flux: Object) -> tuple[Tree, kustomize.Build]:
        if not flux.api_version.startswith("kustomize.toolkit.fluxcd.io/"):
            raise InputError(f"{flux.api_version} is not read by Flux", at=flux.at("apiVersion"))
        tree = self._tree(flux, "spec", "sourceRef")
        folder = os.path.normpath(text(flux.value, "spec", "path"))
        if not (tree.root / folder).is_dir():
            raise flux_objects.no_folder(tree, flux, folder)
        tree.inside(folder)
        build = kustomize.Build(folder, mapping(flux.value, "spec"), self._variables(flux))
        return tree, build

    def _tree(self, flux: Object, *path: Key) -> Tree:
        """The files behind a sourceRef: ``release`` is the tree that the environment pins."""
        kind, name = text(flux.value, *path, "kind"), text(flux.value, *path, "name")
        if not self._find(kind, flux.namespace, name):
            raise flux_objects.no_source(flux, path, self.objects)
        if kind != _OURS:
            raise InputError(f"a {kind} cannot be read here", at=flux.at(*path, "kind"))
        return self.release if name == "release" else self.root

    def _variables(self, flux: Object) -> dict[str, str] | None:
        post = mapping(flux.value, "spec", "postBuild")
        variables: dict[str, str] = {}
        for index, source in enumerate(items(post, "substituteFrom")):
            kind, name = text(source, "kind"), text(source, "name")
            config_map = (
                self._find("ConfigMap", flux.namespace, name) if kind == "ConfigMap" else None
            )
            if config_map is not None:
                data = mapping(config_map.value, "data")
                variables |= {key: str(value).replace("\n", "") for key, value in data.items()}
                if not data:
                    at = config_map.at("data")
                    problem = Problem("has no data: Flux fills in nothing", at, str(config_map))
                    raise InputError.of([problem])
            elif mapping(source).get("optional") is not True:
                at = flux.at("spec", "postBuild", "substituteFrom", index)
                raise InputError(f"{kind}/{name} not found", at=at)
        inline = mapping(post, "substitute")
        variables |= {key: str(value).replace("\n", "") for key, value in inline.items()}
        return variables or None

    def _build_objects(
        self,
        tree: Tree,
        request: kustomize.Build,
        owner: Owner,
        patches: Callable[[], list[Document]] = list,
    ) -> list[Object]:
        closure = tree.closure(request.folder)
        self.files.update(closure)
        if owner != _ROOT:
            self.released.update(closure)
        read = tuple(file for file in closure if file.endswith((".yaml", "yml")))
        objects = []
        try:
            built = self.renderer.build(tree, request)
        except UnsupportedError as error:
            error.at = tree.mention(read, re.escape(error.quoted))
            raise
        except KustomizeError as error:
            problems = kustomize_errors.explain(
                error.message, tree, closure, request.folder, patches()
            )
            raise InputError.of(problems) from error
        for each in built:
            trace = FromKustomize(tree, each.origin, read)
            objects.append(self._fill_placeholders(Object(each.value, owner, trace)))
            for name in each.missing:
                at = tree.mention((each.origin, *read), rf"\$\{{#?{name}\b")
                message = f"${{{name}}} has no value: Flux makes it empty"
                self.faults.append(Problem(message, at, str(objects[-1]), "render/variable"))
        return objects

    def _fill_placeholders(self, raw: Object) -> Object:
        """The object with placeholders for what is UNSET."""

        def note_unset(path: KeyPath) -> None:
            key = ".".join(str(part) for part in path)
            self.unset.append(UnsetValue(f"{raw}: {key}", raw.at(*path)))

        try:
            filled = self.renderer.placeholders.fill(self._well_formed(raw), note_unset)
        except InputError as error:
            self.faults.append(Problem(error.message, raw.at(), str(raw), "render/placeholder"))
            return raw
        return raw if filled == raw.value else Object(mapping(filled), raw.owner, raw.trace)

    def _well_formed(self, raw: Object) -> Value:
        """The object; of site.yaml with placeholders for values that cannot be right."""
        if (raw.kind, raw.name) != ("ConfigMap", "site"):
            return raw.value
        values = mapping(raw.value, "data")
        standing_in = {}
        for name, wrong in site_forms.wrong_values(values).items():
            meant = site_forms.meant_value(name, values[name])
            message = f"{name} {wrong}" + (f"; {meant} is meant" if meant else "")
            at = raw.at("data", name)
            fix = set_at(at, meant) if meant else NOTHING
            self.faults.append(Problem(message, at, str(raw), "site/form", fix))
            standing_in[name] = meant or self.renderer.placeholders.values.get(name, "")
        return merge(raw.value, {"data": standing_in})

    def _helm_release(self, release: Object) -> list[Object]:
        at = release.at("spec", "chart")
        return self._attempt("render/helm", at, str(release), lambda: self._chart(release))

    def _chart(self, release: Object) -> list[Object]:
        for path in _UNKNOWN:
            if release.dig(*path):
                raise UnsupportedError(
                    f"{'.'.join(map(str, path))} is not read", at=release.at(*path)
                )
        reference = ("spec", "chart", "spec", "sourceRef")
        if text(release.value, *reference, "kind") != _OURS:
            self.third_party.extend(self._third_party(release))
            return []
        tree = self._tree(release, *reference)
        request = helm.template(release, self._values(release))
        self.charts.append((tree, request))
        files = tree.files(request.chart)
        self.chart_digests[request.chart] = tree.digest(files)
        self.files.update(files)
        self.released.update(files)

        @functools.cache
        def sources() -> Sources:
            return value_sources(tree, release, request.chart)

        try:
            rendered = self.renderer.template(tree, request)
        except HelmError as error:
            if helm.is_layout_before_groups(tree, request.chart, self.env):
                self.faults.append(helm.before_groups(self.env, str(release)))
                return []
            at = release.at("spec", "chart", "spec", "chart")
            raise helm_errors.explain(error, tree, request.chart, sources(), at) from error
        owner = Owner(release.kind, release.namespace, release.name)
        return [Object(value, owner, FromHelm(tree, path, sources)) for value, path in rendered]

    def _third_party(self, release: Object) -> list[Object]:
        """The objects of a remote chart, if it was fetched."""
        chart = remote_chart(release, self._find)
        self.remote_charts += [chart] if chart else []
        archive = chart.copy(self.renderer.repository) if chart else None
        trace = FromRelease(release)
        if archive is None:
            name = release.dig("spec", "chart", "spec", "chart")
            message = (
                f"chart {name or release.dig('spec', 'chartRef', 'name')} is a remote "
                "chart that was not fetched: its objects are not rendered"
            )
            self.faults.append(
                Problem(message, trace.chart_location, str(release), "render/not-rendered")
            )
            return []
        request = helm.template(release, self._values(release))
        local = dataclasses.replace(request, chart=archive.name)
        tree = Tree(archive.parent.resolve())
        try:
            rendered = self.renderer.template(tree, local)
        except HelmError as error:
            values, at = value_sources(self.root, release, ""), trace.chart_location
            raise helm_errors.explain(error, tree, request.chart, values, at) from error
        owner = Owner(release.kind, release.namespace, release.name)
        return [Object(value, owner, trace) for value, _ in rendered]

    def _values(self, release: Object) -> Value:
        values = helm.merged_values(
            release, lambda name: self._find("ConfigMap", release.namespace, name)
        )
        return mapping(self.renderer.placeholders.fill(values, lambda _: None))

    def _find(self, kind: str, namespace: str, name: str) -> Object | None:
        for each in self.objects:
            if each.kind == kind and each.name == name and each.namespace == namespace:
                return each
        return None
