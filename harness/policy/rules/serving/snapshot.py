"""The snapshot: what TorchServe is told, and what alerts watch, fits models, settings and load."""

import dataclasses
import hashlib
import itertools
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from harness.core import yamlfile
from harness.core.errors import InputError
from harness.core.problem import Location, Problem, Row
from harness.core.repository import Repository
from harness.core.suggest import did_you_mean
from harness.core.values import Value, dig, items, mapping, text
from harness.core.yamlfile import Document
from harness.policy.facts.quantity import number
from harness.policy.facts.serving import servers
from harness.policy.finding import changed_line
from harness.policy.project import Project
from harness.policy.rule import rule
from harness.render.cache import Cache
from harness.snapshot import routes

_OK = 200
_GENERATORS = (".", "burn_rate", "loadtest", "models", "snapshot")
_LEVELS = ("rate", "peak", "to")  # keys of a stage that hold requests per second


@rule(
    "snapshot/up-to-date",
    why="TorchServe starts with what the generated files say: stale, they serve other models than "
    "Git shows",
    fix="correct the file that is named, then run `make snapshot`; for a model that is not in the "
    "lock, or in another version, `make lock`",
)
def fits(project: Project) -> Iterator[Problem]:
    for env in project.environments:
        yield from map(Problem.from_row, _problems(project.repository, env))


def _problems(repository: Repository, env: str) -> list[Row]:
    """What the typed models refuse in an environment; kept, since they take 0.4 s to import."""
    harness = Path(__file__).parents[3]
    read = itertools.chain(
        repository.models.glob("*/model.yaml"),
        repository.models.glob("lock.yaml"),
        filter(Path.is_file, repository.app(env).rglob("*")),
        repository.cluster(env).glob("loadtest.yaml"),
        *(harness.glob(f"{package}/*.py") for package in _GENERATORS),
    )
    state = hashlib.sha256(env.encode())
    for file in sorted(read):
        state.update(f"\0{file.parent.name}/{file.name}\0".encode() + file.read_bytes())
    key = f"snapshot {state.hexdigest()}"
    return cast("list[Row]", Cache(repository).get(key, lambda: _compare(repository, env)))


def _compare(repository: Repository, env: str) -> list[Row]:
    """How the generated files differ from what the models, the settings and the SLOs give."""
    from harness.burn_rate import rules
    from harness.snapshot import config

    root = repository.root
    try:
        stale = config.stale(repository, env) | rules.stale(repository, env)
    except InputError as error:
        problems = error.problems_at(Location(root / "models/lock.yaml", 1))
        # What is wrong with a load profile is files/readable's to say.
        others = [each for each in problems if each.location.path.name != "loadtest.yaml"]
        return [_within(root, each).row for each in others]
    rows = []
    for path, expected in stale.items():
        written = yamlfile.read_text(path) if path.is_file() else ""
        line = changed_line(written, expected) or 1
        message = "is not what `make snapshot` writes"
        if written.splitlines() == expected.splitlines():
            message = "has other line ends than `make snapshot` writes: LF, not CRLF"
        problem = Problem(message, Location(path, line))
        rows.append(_within(root, problem).row)
    return rows


def _within(root: Path, problem: Problem) -> Problem:
    """The same problem, at a path below the repository's root."""
    path = problem.location.path
    at = Location(
        path.relative_to(root) if path.is_absolute() else path, problem.location.line or 1
    )
    return dataclasses.replace(problem, location=at)


@rule(
    "snapshot/one-group",
    why="a model that two groups serve has two routes, of which the older decides; one that no "
    "group's route leads to answers 404",
    fix="leave it in one group, or name it under `unrouted` in every other's serving.yaml; "
    "`harness groups move` does it step by step",
)
def one_group(project: Project) -> Iterator[Problem]:
    for env in project.environments:
        files = {
            parsed.path: parsed
            for group in project.repository.groups(env)
            for parsed in project.documents(
                str(_folder(project.repository, env, group) / "serving.yaml")
            )
        }
        for model in sorted({name for each in files.values() for name in _served_models(each)}):
            having = [each for each in files.values() if model in _served_models(each)]
            routed = [each for each in having if model not in items(each.value, "unrouted")]
            if len(routed) > 1:
                message = f"{model} gets requests in {routed[0].path} too"
                yield Problem(message, routed[1].at(("models", model)))
            elif not routed:
                others = ", ".join(str(each.path) for each in having)
                message = f"{model} gets requests nowhere: unrouted in {others}"
                yield Problem(message, having[0].at(("unrouted",)))


def _served_models(serving: Document) -> Value:
    return mapping(serving.value, "models")


@rule(
    "snapshot/listed",
    why="a group that is in no release is served nowhere, however good its files are",
    fix="list its folder in apps/torchserve/<env>/kustomization.yaml; its HelmRelease has the "
    "folder's name",
)
def listed(project: Project) -> Iterator[Problem]:
    for env, environment in project.environments.items():
        releases = {each.name for each in environment.of("HelmRelease")}
        for group in project.repository.groups(env):
            if group not in releases:
                where = _folder(project.repository, env, group) / "kustomization.yaml"
                yield Problem(f"{env} has no HelmRelease {group}", Location(where, 1))


def _folder(repository: Repository, env: str, group: str) -> Path:
    return repository.group(env, group).relative_to(repository.root)


@rule(
    "snapshot/load",
    why="a load test of a model that is not served fails; one that leaves a model out proves "
    "nothing about it",
    fix="make the mix of clusters/<env>/loadtest.yaml and the models of serving.yaml agree",
)
def load(project: Project) -> Iterator[Problem]:
    for environment in project.environments.values():
        versions = {key for server in servers(environment) for key in server.models}
        served = {key.partition("/")[0] for key in versions}
        for profile in project.documents(f"clusters/{environment.name}/loadtest.yaml"):
            mix = [(share, _model(share)) for share in items(profile.value, "mix")]
            for index, (share, model) in enumerate(mix):
                if model and served and model not in served | versions and _expects_answer(share):
                    path = ("model",) if text(share, "model") else ("request", "path")
                    where = profile.at(("mix", index, *path))
                    near = did_you_mean(model, sorted(served))
                    yield Problem(f"{environment.name} does not serve {model}{near}", where)
                sample, samples = text(share, "sample"), _samples(project, model.partition("/")[0])
                if sample and samples and sample not in samples:
                    near = did_you_mean(sample, samples)
                    where = profile.at(("mix", index, "sample"))
                    yield Problem(f"{model} has no sample {sample}{near}", where)
            in_mix = {model.partition("/")[0] for _, model in mix}
            # A name that is misspelt, or a key, is what leaves a model out.
            unclear = in_mix - served or not all(_is_clear(share) for share, _ in mix)
            for missing in sorted(served - in_mix) if not unclear else ():
                yield Problem(f"leaves out {missing}", profile.at(("mix",)))


def _model(share: object) -> str:
    """The model that an entry of a mix asks: a raw request names it by its path."""
    return text(share, "model") or routes.model_of(text(share, "request", "path")) or ""


def _is_clear(share: object) -> bool:
    return bool(mapping(share).keys() & {"model", "request"})


def _expects_answer(share: object) -> bool:
    status = dig(share, "request", "status")
    return status in (None, _OK) or (isinstance(status, list) and _OK in status)


@rule(
    "snapshot/queue",
    why="a queue shorter than what arrives within the promised latency refuses, with 503, requests "
    "that it would have answered in time",
    fix="raise jobQueueSize in serving.yaml to rate × latency (Little's law) of "
    "clusters/<env>/loadtest.yaml",
)
def queue(project: Project) -> Iterator[Problem]:
    for environment in project.environments.values():
        for profile in project.documents(f"clusters/{environment.name}/loadtest.yaml"):
            for server in servers(environment):
                size = number(server.setting("job_queue_size"), 100)
                served = {key.rpartition("/")[0] for key in server.models}
                rates = _rates(profile.value)
                for model, rate in ((name, rates[name]) for name in rates if name in served):
                    latency = _latency_limit(profile.value, model)
                    if size < rate * latency:
                        message = f"{rate:g}/s of {model}, promised within {latency:g} s, need"
                        yield server.problem(
                            f"{message} a queue of {rate * latency:.0f}", "job_queue_size"
                        )


def _samples(project: Project, model: str) -> list[str]:
    """The names of a model's samples; none of one that is not here."""
    return [
        text(sample, "name")
        for file in ("model.yaml", "recorded.yaml")
        for document in project.documents(f"models/{model}/{file}")
        for sample in items(document.value, "samples")
    ]


def _rates(profile: object) -> dict[str, float]:
    """Each model of the mix with the highest rate (1/s) that the profile asks of it."""
    levels = [
        float(level)
        for stage in items(profile, "stages")
        for level in (mapping(stage).get(key) for key in _LEVELS)
        if isinstance(level, int | float)
    ]
    shares: defaultdict[str, float] = defaultdict(float)
    for share in items(profile, "mix"):
        shares[_model(share)] += number(dig(share, "weight"), 1)
    total = sum(shares.values())
    peak = max(levels, default=0)
    return {model: peak * weight / total for model, weight in shares.items() if total}


def _latency_limit(profile: object, model: str) -> float:
    """The longest latency (s) that an SLO allows the model; 0 where none does."""
    names = {
        text(share, "request", "name") or model
        for share in items(profile, "mix")
        if _model(share) == model
    }
    return max(
        (
            value / 1000
            for slo in items(profile, "slos")
            if text(slo, "of") in {"", *names}
            for value in mapping(slo, "latency").values()
            if isinstance(value, int | float)
        ),
        default=0,
    )
