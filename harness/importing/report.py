"""What an import prints: a table of keys by class, the models, what is written, what comes next."""

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from harness.importing.keys import Outcome
from harness.importing.merge import Key
from harness.importing.outcome import Imported
from harness.importing.startup import Started

_TITLES = {
    Outcome.LOST: "lost, and it breaks:",
    Outcome.CARRIED: "carried:",
    Outcome.ELSEWHERE: "carried elsewhere:",
    Outcome.NOTHING: "no effect:",
}
_WIDTH = 110


def as_text(imported: Imported) -> str:
    """The table, and the models."""
    blocks = [_block(imported, outcome) for outcome in _TITLES]
    return "\n\n".join(filter(None, [*blocks, _values(imported), _models(imported)])) + "\n"


def as_json(imported: Imported) -> dict[str, object]:
    """The same for programs."""
    return {
        "keys": [
            {"key": key.key, "at": key.at, "class": key.outcome.value, "text": key.text}
            for key in imported.keys
        ],
        "lost": len(imported.of(Outcome.LOST)),
        "models": [
            {"name": each.name, "version": each.version, **each.entry.model_dump(by_alias=True)}
            for _, each in _every_version(imported)
        ],
        "server": imported.server.model_dump(by_alias=True, exclude_defaults=True),
        "values": dict(imported.values),
        "problems": [
            {"at": str(problem.location), "text": problem.message} for problem in imported.problems
        ],
        "questions": [
            {"at": str(problem.location), "text": problem.message} for problem in imported.questions
        ],
    }


def next_steps(imported: Imported, env: str, *, applied: bool, audit: bool) -> list[str]:
    """What to type after it; ``audit``: whether archives can be audited."""
    if imported.refused:
        return []
    if not applied:
        store = ["add --store FOLDER, to read the archives"] if _unread(imported) else []
        return [*store, "--apply writes it"]
    steps = []
    unbuilt = [name for name, each in imported.models.items() if each.archive is None]
    if unbuilt:
        steps.append(
            f"harness models adopt --store FOLDER   # locks the archives of {', '.join(unbuilt)}"
        )
    if len(unbuilt) < len(imported.models):
        steps.append("harness models lock   # builds what has to be repacked; Git keeps no archive")
    if imported.models:
        steps.append(f"harness snapshot write --env {env}   # with what the lock holds now")
    first = next(iter(imported.models), "")
    if audit and first:
        steps.append(f"harness models audit {first}   # what its handler needs, what would fail")
    if any(each.archive and each.archive.requirements for each in imported.models.values()):
        steps.append("make requirements   # the packages that its archives name, into the image")
    steps.append("harness check")
    if not unbuilt:
        steps.append(f"harness serve --env {env}   # the same, on this machine")
    if imported.store:
        steps.append(f"harness models push --env {env}")
    steps.append(f"harness init --env {env}   # what only its owner knows")
    return steps


def _values(imported: Imported) -> str:
    """What was named as the chart's, ready to be copied."""
    if not imported.values:
        return ""
    text = yaml.safe_dump(dict(imported.values), sort_keys=False, width=_WIDTH)
    head = (
        "not written, since nodes, accounts and sizes are the old cluster's; what of it holds goes "
    )
    return f"{head}under spec.values of helmrelease.yaml:\n{textwrap.indent(text, '    ')}".rstrip()


def _block(imported: Imported, outcome: Outcome) -> str:
    refused = {str(problem.location) for problem in imported.refused}  # reported as such
    rows = [
        row for row in imported.of(outcome) if outcome != Outcome.NOTHING or row.at not in refused
    ]
    if not rows:
        return ""
    return "\n".join([f"{_TITLES[outcome]} {len(rows)}", *_rows(rows)])


def _rows(rows: Sequence[Key]) -> Iterator[str]:
    width = min(max(len(row.key) for row in rows), 40)
    for row in rows:
        where = f"  ({_place(row.at)})" if row.at else ""
        lines = textwrap.wrap(f"{row.text}{where}", _WIDTH - width - 4, break_long_words=False)
        yield f"  {_name(row.key):{width}}  {lines[0] if lines else ''}"
        yield from (f"  {'':{width}}  {line}" for line in lines[1:])


def _place(at: str) -> str:
    name, colon, line = at.rpartition(":")
    return f"{Path(name).name}:{line}" if colon and line.isdecimal() else Path(at).name or at


def _name(key: str) -> str:
    return key.encode("ascii", "backslashreplace").decode()


def _every_version(imported: Imported) -> Iterator[tuple[str, Started]]:
    for name, default in imported.models.items():
        for each in (default, *imported.others[name]):
            yield name, each


def _unread(imported: Imported) -> list[str]:
    """The archives that were not read, by their file names."""
    return [each.entry.mar_name for _, each in _every_version(imported) if each.archive is None]


def _models(imported: Imported) -> str:
    if not imported.models:
        return (
            "models: none in these sources, so that those of --like are served; add "
            "--store FOLDER, or http://HOST:8081 of the server"
        )
    lines = ["models:"]
    for name, each in _every_version(imported):
        entry = each.entry
        low, high = entry.min_workers, entry.max_workers
        workers = f"{low} to {high} workers" if low != high else f"{low} worker{'s'[: low != 1]}"
        lines.append(
            f"  {name} {each.version}: {entry.mar_name}, {workers}, batches of {entry.batch_size} "
            f"within {entry.max_batch_delay} ms, {entry.response_timeout} s"
        )
    if unread := _unread(imported):
        which = "no archive" if len(unread) == len(lines) - 1 else "not every archive"
        lines.append(
            f"{which} was read ({', '.join(unread)}): what they say of themselves, their settings "
            "and their packages are unknown; --store FOLDER reads them"
        )
    return "\n".join(lines)
