"""The checkout as rules see it: its environments, and its files that Flux does not read."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar, cast

from harness.core import yamlfile
from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.core.suggest import did_you_mean
from harness.core.values import text
from harness.core.yamlfile import Document
from harness.render.objects import Object
from harness.render.rendered import Environment
from harness.render.tree import Tree, working

T = TypeVar("T")


@dataclass(frozen=True)
class Project:
    """Everything a rule may look at.

    Attributes:
        repository: where things lie.
        environments: the working tree's render of each environment, by name.
        live: production's folder × the commit that it pins, while it pins one.
        rendered_from: the files, where a render has read and parsed them already.
    """

    repository: Repository
    environments: Mapping[str, Environment] = field(repr=False)
    live: Environment | None = field(default=None, repr=False)
    rendered_from: Tree | None = field(default=None, repr=False)
    _computed: dict[str, object] = field(default_factory=dict, repr=False, compare=False)

    def remember(self, key: str, compute: Callable[[], T]) -> T:
        """What ``compute`` returns, computed once: several rules ask the same."""
        if key not in self._computed:
            self._computed[key] = compute()
        return cast("T", self._computed[key])

    @property
    def tree(self) -> Tree:
        """The files of the checkout."""
        return self.rendered_from or self.remember("tree", lambda: working(self.repository))

    def documents(self, path: str) -> list[Document]:
        """The YAML documents of a file of the checkout; none where it is missing or not YAML.

        Files that cannot be parsed have a finding of their own (``yaml/…``).
        """
        try:
            return self.tree.documents(path)
        except InputError:
            return []

    @property
    def sources(self) -> dict[str, str]:
        """The environments that releases are promoted to, each with the one that proves them.

        An environment's own promotion.yaml names it; empty where that says none.
        """
        return {
            env: text(parsed[0].value, "from")
            for env in self.environments
            if (parsed := self.documents(f"clusters/{env}/promotion.yaml"))
        }

    @property
    def promotions(self) -> Iterator[tuple[Environment, Environment]]:
        """Each environment that can prove releases, with the one that takes them."""
        for target, source in self.sources.items():
            # One that did not render is there, but shows nothing.
            if source in self.environments and not self.unproven(target):
                yield self.environments[source], self.environments[target]

    def unproven(self, target: str) -> str:
        """Why what ``from`` names proves nothing to an environment; empty if it can."""
        source = self.sources[target]
        if not (self.repository.root / "clusters" / source / "kustomization.yaml").is_file():
            return f"there is no environment {source}{did_you_mean(source, self.environments)}"
        proving, chain = source, [target]
        while proving and proving not in chain:
            chain.append(proving)
            proving = self.sources.get(proving, "")
        if proving:
            return f"{' is proved by '.join([*chain, proving])}"
        if self.has_cluster(target) and not self.has_cluster(source):
            return f"{source} has no cluster of its own: clusters/{source}/eksctl.yaml is not there"
        return ""

    def has_cluster(self, env: str) -> bool:
        """Whether an environment is a cluster that stays, not one of this machine."""
        return bool(self.documents(f"clusters/{env}/eksctl.yaml"))

    def text(self, path: str) -> str:
        """A file of the checkout as text; empty where it is missing or unreadable."""
        try:
            return yamlfile.read_text(self.repository.root / path)
        except InputError:
            return ""


def twins(source: Environment, target: Environment, *kinds: str) -> Iterator[tuple[Object, Object]]:
    """The source's objects of these kinds, each with the target's of the same name."""
    for proving in source.of(*kinds):
        if taking := target.find(proving.kind, proving.name, proving.namespace):
            yield proving, taking
