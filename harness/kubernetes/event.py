"""The event by which Flux says that it has applied something, as a workflow receives it.

    sync = event.read(payload, repository, "staging")

Whoever may write to the repository may send such an event, with anything in it. It is taken only
if ``clusters/<env>/flux-system/alert.yaml`` announces it, and nothing of it is used but the name of
a commit that main has.
"""

import re
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.core import yamlfile
from harness.core.errors import InputError
from harness.core.git import Git
from harness.core.repository import Repository
from harness.core.values import Value, items, mapping, text

_MAX_BYTES = 64 << 10  # an event has some hundred bytes; what is larger is none of Flux
_NAMESPACE = "flux-system"
_REVISION = re.compile(r"([^@\n]+@)?sha1:([0-9a-f]{40})")  # a pin has no branch
_ALERT = "flux-system/alert.yaml"


class _Part(BaseModel):
    """Strict in what is read; Flux may send more."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class Subject(_Part):
    """The object of Flux that an event is about."""

    kind: str
    name: str
    namespace: str


class Event(_Part):
    """An event of Flux, as its Provider ``githubdispatch`` posts it (``client_payload``)."""

    subject: Subject = Field(alias="involvedObject")
    severity: str
    message: str
    metadata: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sync:
    """What was applied: by which object, and from which commit where the object names one."""

    applied_by: str
    commit: str | None


def read(payload: str, repository: Repository, env: str) -> Sync:
    """Parse an event, if it is one that ``env`` announces.

    Raises:
        InputError: it is not.
        UsageError: there is no such environment.
    """
    path = repository.cluster(env) / _ALERT
    try:
        if len(payload.encode(errors="replace")) > _MAX_BYTES:
            raise InputError(f"the event is larger than {_MAX_BYTES >> 10} KiB")
        event = Event.model_validate_json(payload)
    except ValidationError as error:
        # Not what it holds: that may be anything, and this goes to a log.
        fields = {".".join(map(str, each["loc"])) or "JSON" for each in error.errors()}
        raise InputError(f"not an event of Flux: {', '.join(sorted(fields))[:200]!r}") from None
    (alert,) = yamlfile.parse(yamlfile.read_text(path), path)
    if mismatch := _mismatch(event, mapping(alert.value, "spec")):
        raise InputError(f"{mismatch} is not what {env} announces", at=path)
    commit = _commit(event)
    if commit and not Git(repository.root).is_ancestor(commit, "HEAD"):
        raise InputError(f"{commit} is not in the history of this checkout")
    return Sync(f"{event.subject.kind}/{event.subject.name}", commit)


def _mismatch(event: Event, alert: Value) -> str | None:
    """Which part of an event the Alert does not announce."""
    subject = event.subject
    sources = [(text(each, "kind"), text(each, "name")) for each in items(alert, "eventSources")]
    named = {(subject.kind, subject.name), (subject.kind, "*")} & set(sources)
    if not named or not re.fullmatch(r"[a-z0-9.-]+", subject.name):
        return "the object"
    if subject.namespace != _NAMESPACE:
        return "the namespace"
    if event.severity != text(alert, "eventSeverity"):
        return "the severity"
    if not any(re.search(str(each), event.message) for each in items(alert, "inclusionList")):
        return "the message"
    expected = mapping(alert, "eventMetadata").items()
    return None if expected <= event.metadata.items() else "the environment"


def _commit(event: Event) -> str | None:
    """The commit of a Kustomization's revision; a HelmRelease's revision is its chart's version.

    Raises:
        InputError: a Kustomization names none.
    """
    if event.subject.kind != "Kustomization":
        return None
    revision = _REVISION.fullmatch(event.metadata.get("revision", ""))
    if not revision:
        raise InputError(
            "the event's revision is not a commit", hint="such as main@sha1:<40 digits>"
        )
    return revision[2]
