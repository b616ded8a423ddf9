"""What an API server would refuse, asked of its own code: tools/kubernetes/api-validator.

    problems = api_validator.validate(repository, program, [(staging, staging_before)])

The program is Kubernetes' registry, CEL and admission, compiled without a server around them
(docs/decisions/0024-api-server-offline.md). What it answered is kept by content.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from harness import tools
from harness.core import command
from harness.core.fix import NOTHING, set_at
from harness.core.problem import Location, Problem
from harness.core.repository import Repository
from harness.core.values import Key, KeyPath, Value, items, mapping, text
from harness.render.cache import Ledger
from harness.render.objects import Object
from harness.render.rendered import Environment
from harness.schema import catalog, validator

REFUSED, IMMUTABLE, ADMISSION = "api/refused", "api/immutable", "admission/refused"
_RULES = {"invalid": REFUSED, "immutable": IMMUTABLE, "admission": ADMISSION}
_SECONDS = 600.0  # a thousand objects take one, on a machine that is not busy
_POLICIES = {
    "policies": "ValidatingAdmissionPolicy",
    "bindings": "ValidatingAdmissionPolicyBinding",
}

_SITE = "ConfigMap/flux-system/site: "
_BY_POLICY = re.compile(r"^ValidatingAdmissionPolicy '([^']+)'")

# Recreated instead of being changed: hooks by Helm, the others where Flux is told to. What Flux
# leaves as it is once it exists is not a change either.
_HOOK = "helm.sh/hook"
_FORCE, _APPLY = "kustomize.toolkit.fluxcd.io/force", "kustomize.toolkit.fluxcd.io/ssa"


@dataclass(frozen=True, slots=True)
class _Question:
    """A request to the program, and whom its answer is about.

    Attributes:
        key: what the answer depends on.
        request: the line that the program reads.
        previous: the object before, where there was one.
        policies: those that are in force, as the program reads them; empty where none are asked.
    """

    environment: Environment
    subject: Object
    key: str
    request: Value
    previous: Object | None = None
    policies: str = ""


def program(repository: Repository) -> Path | None:
    """The program, if it is there or was built before; nothing is built now."""
    return tools.at_hand(repository, "api-validator")


def validate(
    repository: Repository,
    program: Path,
    pairs: Iterable[tuple[Environment, Environment | None]],
) -> list[tuple[Environment, Object, Problem]]:
    """What the API server would refuse of each environment.

    Args:
        repository: where the schemas and the answers are kept.
        program: the validator.
        pairs: each environment, with what it was before, as far as anybody knows.

    Raises:
        HarnessError: the program failed.
    """
    pins = f"{tools.fingerprint(repository, program.name)} {catalog.fingerprint(repository)}"
    questions = [each for new, old in pairs for each in _questions(new, old, pins)]
    ledger = Ledger(repository, "api")
    _ask(repository, program, {each.key: each for each in questions}, ledger)
    problems = [
        (each.environment, each.subject, _problem(each, refusal))
        for each in questions
        for refusal in cast("list[Value]", ledger[each.key])
    ]
    ledger.save()
    return problems


def _questions(new: Environment, old: Environment | None, pins: str) -> Iterator[_Question]:
    before = {_identity(each): each for each in _objects_as_filled(old, new)} if old else {}
    namespaces = {each.name: each.labels for each in new.of("Namespace")}
    policies = json.dumps(
        {key: [each.value for each in new.of(kind)] for key, kind in _POLICIES.items()}
    )
    policy_digest = hashlib.sha256(policies.encode()).hexdigest()
    forced = {
        (each.kind, each.namespace, each.name)
        for each in new.of("Kustomization")
        if each.dig("spec", "force") is True
    }
    for subject in (*new.objects, *new.third_party):
        if text(subject.value, "sops", "mac"):
            continue  # Flux decrypts it first
        owner = (subject.owner.kind, subject.owner.namespace, subject.owner.name)
        stored: dict[str, object] = {"object": validator.without_null(subject.value)}
        key = f"{pins} {subject.digest}"
        previous = before.get(_identity(subject))
        is_new = owner in forced or _is_recreated(subject)
        if previous and previous.value != subject.value and not is_new:
            stored["old"] = validator.without_null(previous.value)
            key += f" {previous.digest}"
        yield _Question(new, subject, key, stored, previous)
        labels = namespaces.get(subject.namespace, {})
        admitted = {"admit": stored["object"], "labels": labels}
        key = f"{pins} {subject.digest} {policy_digest} {json.dumps(labels)}"
        yield _Question(new, subject, key, admitted, previous, policies)


def _objects_as_filled(old: Environment, new: Environment) -> Iterator[Object]:
    """What there was before, with the values of site.yaml that were UNSET then and are filled now.

    Nothing was ever applied with a placeholder: a volume that gets its id is new.
    """
    unset = {each.key.rpartition(".")[2] for each in old.unset if each.key.startswith(_SITE)}
    then, now = (
        mapping(site and site.value, "data")
        for site in (each.find("ConfigMap", "site", "flux-system") for each in (old, new))
    )
    stand_ins = {str(then[name]): str(now[name]) for name in unset & then.keys() & now.keys()}
    longest_first = sorted(stand_ins, key=len, reverse=True)
    words = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")
    for each in old.objects:
        text_of_it = json.dumps(each.value)
        filled = words.sub(lambda match: stand_ins[match[0]], text_of_it)
        yield each if filled == text_of_it else replace(each, value=json.loads(filled))


def _identity(each: Object) -> tuple[str, str, str, str]:
    return (each.group, each.kind, each.namespace, each.name)


def _is_recreated(each: Object) -> bool:
    notes = each.annotations
    return (
        _HOOK in notes
        or str(notes.get(_FORCE)).lower() == "enabled"
        or str(notes.get(_APPLY)).lower() in ("ifnotpresent", "ignore")
    )


def _ask(
    repository: Repository, program: Path, questions: dict[str, _Question], ledger: Ledger
) -> None:
    """Put the answers into the ledger that it lacks."""
    new = {key: each for key, each in questions.items() if key not in ledger}
    if not new:
        return
    lines, policies = [], ""
    for each in new.values():
        if each.policies and each.policies != policies:
            policies = each.policies
            lines.append(policies)
        lines.append(json.dumps(each.request))
    crds = catalog.find(repository) / catalog.CRDS
    output = command.run(
        [program, crds], stdin="\n".join(lines) + "\n", timeout=_SECONDS, env=tools.QUICK
    )
    for key, line in zip(new, output.stdout.splitlines(), strict=True):
        ledger[key] = json.loads(line)


def _problem(question: _Question, refusal: Value) -> Problem:
    field, message = text(refusal, "field"), text(refusal, "message")
    subject, previous = question.subject, question.previous
    rule = _RULES[text(refusal, "reason")]
    paths = [tuple(cast("list[Key]", path)) for path in items(refusal, "paths")]
    places = [(subject.at(*path), path) for path in paths]
    at, path = min(places, key=lambda each: _unlikely(question, *each))
    policy = _policy(question.environment, message) if rule == ADMISSION else None
    if policy and "chart" in at.path.parts:  # nobody wrote the pod by hand
        at = policy.at("spec", "validations")
    before = previous.dig(*path) if previous and rule == IMMUTABLE else None
    return Problem(
        f"{field}: {message}" if field else message,
        at,
        str(subject),
        rule,
        set_at(at, before) if isinstance(before, str | int) else NOTHING,
    )


def _policy(environment: Environment, message: str) -> Object | None:
    """The policy of this repository that refuses an object."""
    named = _BY_POLICY.search(message)
    return environment.find(_POLICIES["policies"], named[1]) if named else None


def _unlikely(question: _Question, at: Location, path: KeyPath) -> tuple[bool, bool, bool]:
    """Orders the parts that may be at fault: what is new, then what lies nearest to a user."""
    previous = question.previous
    same = previous is not None and previous.dig(*path) == question.subject.dig(*path)
    return (same, "chart" in at.path.parts, "base" in at.path.parts)
