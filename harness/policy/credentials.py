"""Credentials in files, whoever reads them: all that Git has, and all that `git add` would take.

Betterleaks' detector looks for them (tools/betterleaks). What a file gave is kept until it changes.
Nothing that looks like a credential is ever printed, or kept: the file, the line and the rule are.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from harness import tools
from harness.core import command, yamlfile
from harness.core.errors import InputError
from harness.core.problem import Location, Problem
from harness.core.repository import Repository
from harness.core.values import mapping, text
from harness.render.cache import Ledger

RULE = "secrets/in-text"
ENCRYPTED = "secrets/encrypted"
NOT_SCANNED = "files were not scanned for credentials: this needs Git and `harness tools`"
_PROGRAM = "find-credentials"
_SECONDS = 600.0  # on a machine that does other work too
_CPU = 120
_AWS_ID, _TOKEN = "aws-access-token", "provider-token"
_Row = tuple[int, str]  # a line, and the rule of the scanner that found something in it
_SECRET = "Secret"  # noqa: S105 - the kind of an object
_IS_SECRET = re.compile(rb"(?m)^[ -]*kind:\s*[\"']?Secret\b")
_GENERATED = (".git", ".venv", "build")
# What tests hold on purpose: examples of what is refused, and a key that was made for them.
_MADE_UP = (
    *("tests/testdata/invalid/", "tests/testdata/valid/", "tests/testdata/sops/age.agekey"),
    "tests/testdata/loadscripts/commands.sh",
)


def find(repository: Repository) -> list[Problem] | None:
    """What looks like a credential; None where the scanner or Git is not there.

    Raises:
        HarnessError: the scanner failed.
    """
    program, files = tools.at_hand(repository, _PROGRAM), _files(repository)
    if program is None or files is None:
        return None
    # What is laid out for a moment keeps its own: it has a fifth of the files.
    name = "credentials" if (repository.root / ".git").exists() else "credentials-laid-out"
    ledger = Ledger(repository, name)
    code = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    pin = f"{tools.fingerprint(repository, _PROGRAM)} {code}"
    keys = {path: f"{pin} {path} {state}" for path, state in files.items()}
    missing = [path for path, key in keys.items() if key not in ledger]
    for path, rows in scan(repository.root, program, missing).items() if missing else ():
        ledger[keys[path]] = rows
    problems = [
        each
        for path, key in keys.items()
        for each in _problems(path, cast("list[_Row]", ledger[key]))
    ]
    ledger.save()
    return problems


def scan(root: Path, program: Path, paths: list[str]) -> Mapping[str, list[_Row]]:
    """The lines that look like a credential, of each path; none of a file that is gone by now."""
    listed = "".join(f"{path}\0" for path in paths)
    answer = command.run([program, root], stdin=listed, timeout=_SECONDS, cpu=_CPU).stdout
    rows: dict[str, list[_Row]] = {path: _plain_secrets(root, path) for path in paths}
    for each in json.loads(answer):
        rows[each["path"]].append((each["line"], each["rule"]))
    return rows


def _plain_secrets(root: Path, path: str) -> list[_Row]:
    """The lines of a YAML file where a value of a Secret is not encrypted, listed or not."""
    full = root / path
    if not path.endswith((".yaml", ".yml")):
        return []
    try:
        if not _IS_SECRET.search(full.read_bytes()):
            return []
        documents = yamlfile.parse(yamlfile.read_text(full), Path(path))
    except (FileNotFoundError, InputError):
        return []  # gone since it was listed, a template, or what yaml/unreadable reports
    return [
        (document.at((key, str(name))).line or 1, _SECRET)
        for document in documents
        for key in ("data", "stringData")
        if text(document.value, "kind") == _SECRET
        for name, value in mapping(document.value, key).items()
        if value and not str(value).startswith(("ENC[", "${"))
    ]


def _problems(path: str, rows: list[_Row]) -> Iterator[Problem]:
    """One problem for each line; of a Secret in the clear alone, where a file is one."""
    plain = [line for line, rule in rows if rule == _SECRET]
    if plain:
        message = "holds a Secret in the clear"
        yield Problem(message, Location(Path(path), min(plain)), path, ENCRYPTED)
        return
    below_an_id = {line + 1 for line, rule in rows if rule == _AWS_ID}
    for line, rule in sorted(dict(reversed(rows)).items()):
        if line in below_an_id and rule == _TOKEN:
            continue  # the other half of one key of AWS
        message = f"holds what looks like a credential ({rule})"
        yield Problem(message, Location(Path(path), line), path, RULE)


def _files(repository: Repository) -> dict[str, str] | None:
    """Every file that may hold one, with what tells whether it has changed; None without Git."""
    try:
        listed = list(_list(repository.root))
    except command.CommandError:
        return None
    states = {}
    for path in listed:
        full = repository.root / path
        if not path.startswith(_MADE_UP) and full.is_file() and not full.is_symlink():
            state = full.stat()
            states[path] = f"{state.st_size} {state.st_mtime_ns}"
    return states


def _list(root: Path) -> Iterator[str]:
    if (root / ".git").exists():
        argv = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        yield from command.run(argv, cwd=root, timeout=_SECONDS).stdout.split("\0")[:-1]
        return
    for folder, folders, names in os.walk(root):  # what was laid out or unpacked has no Git
        folders[:] = [each for each in folders if each not in _GENERATED]
        yield from (str(Path(folder, name).relative_to(root)) for name in names)
