"""A Dockerfile that starts TorchServe: its last stage, exec and shell form, and what it copies.

Instructions are read as the Dockerfile reference has them; what ``RUN`` does to a configuration
cannot be known without running it, and is named.
"""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from harness.core.errors import Location
from harness.importing import command_line, files_there
from harness.importing.docker_run import is_torchserve
from harness.importing.files_there import Files
from harness.importing.source import Remark, Setting, Source

_INSTRUCTION = re.compile(r"\s*([A-Za-z]+)\s+(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::?-([^}]*))?\})")
_FILES = {"-r", "--requirement"}
_VALUED = {
    *("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--trusted-host", "--proxy"),
    *("-c", "--constraint", "-t", "--target", "--prefix", "--root", "--cache-dir", "--python"),
    *("--timeout", "--retries", "--platform", "--torch-backend"),
}
"""Options of pip and uv whose next word is their value."""


@dataclass
class _Stage:
    image: str = ""
    at: Location | None = None
    variables: dict[str, Setting] = field(default_factory=dict)
    arguments: dict[str, Setting] = field(default_factory=dict)  # of the build alone
    entrypoint: tuple[str | list[str], Location] | None = None
    command: tuple[str | list[str], Location] | None = None
    files: dict[PurePosixPath, Path] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)


def read(text: str, path: Path) -> Source:
    """Read a Dockerfile; ``path`` is where it lies, with the files that it copies around it."""
    stage, stages = _Stage(), dict[str, _Stage]()
    for line, word, rest in _instructions(text):
        at = Location(path, line)
        if word == "FROM":
            image, *words = re.sub(r"--platform=\S+\s*", "", rest).split()
            earlier = stages.get(image)
            stage = replace(earlier or _Stage(image), at=at, arguments={})
            stage.variables, stage.remarks = dict(stage.variables), list(stage.remarks)
            if len(words) == 2:  # AS name
                stages[words[1]] = stage
        else:
            _instruct(stage, word, rest, at)
    return _source(stage, path)


def _instructions(text: str) -> Iterator[tuple[int, str, str]]:
    parts: list[str] = []
    start = 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or (parts and not line.strip()):
            continue
        start = start if parts else number
        continued = line.rstrip().endswith("\\")
        parts.append(line.rstrip().removesuffix("\\") if continued else line)
        if not continued:
            if match := _INSTRUCTION.match(" ".join(parts)):
                yield start, match[1].upper(), match[2].strip()
            parts = []


def _instruct(stage: _Stage, word: str, rest: str, at: Location) -> None:
    if word in ("ENV", "ARG"):
        for key, text in _pairs(rest, legacy=word == "ENV"):
            into = stage.variables if word == "ENV" else stage.arguments
            into[key] = Setting(key, _expand(text, stage), at)
    elif word == "ENTRYPOINT":
        stage.entrypoint, stage.command = (_form(rest), at), None
    elif word == "CMD":
        stage.command = (_form(rest), at)
    elif word in ("COPY", "ADD") and "--from=" not in rest:
        _copy(stage, rest, at.path.parent)
    elif word == "RUN":
        if re.search(r"config\.properties|model_snapshot|load_models", rest):
            why = "writes a configuration: give the file itself as another source"
            stage.remarks.append(Remark("RUN", why, at, lost=True))
        stage.remarks += [_packages(each, at) for each in _pip_arguments(rest)]


def _source(stage: _Stage, path: Path) -> Source:
    files = Files(path.parent, stage.files)
    started = _start(stage, files)
    variables = [each for key, each in stage.variables.items() if key != "PATH"]
    remarks = stage.remarks
    source = replace(started, variables=(*variables, *started.variables))
    if not source.commands and not source.problems and stage.at:
        why = "nothing here starts TorchServe in a way that can be read: add its command line"
        remarks = [*remarks, Remark("CMD", why, stage.at, lost=True)]
    complete = files_there.with_files(source, files)
    return replace(complete, remarks=(*complete.remarks, *remarks))


def _pip_arguments(rest: str) -> Iterator[list[str]]:
    """What follows each ``pip install`` of a line."""
    for command in re.split(r"&&|\|\||[;|]", rest):
        words = _split(command)
        for number, word in enumerate(words[1:], 1):
            if word == "install" and re.fullmatch(r"(.*/)?pip[0-9.]*", words[number - 1]):
                yield words[number + 1 :]


def _packages(words: list[str], at: Location) -> Remark:
    """The packages that pip is given: the image here has its own."""
    named, options = [], iter(words)
    for word in options:
        if word in _FILES:
            named.append(f"{word} {next(options, '')}")
        elif word in _VALUED:
            next(options, None)
        elif not word.startswith("-"):
            named.append(re.sub(r"//[^/@]*@", "//", word))  # an address may hold a token
    why = "yours to add to requirements.in of the model that imports them: "
    return Remark("RUN pip install", why + ", ".join(named), at)


def _start(stage: _Stage, files: Files) -> Source:
    """What the container runs."""
    if not stage.entrypoint and not stage.command:
        default = is_torchserve(stage.image) and stage.at
        return command_line.parse_words(["serve"], default) if default else Source()
    if stage.entrypoint and isinstance(stage.entrypoint[0], str):
        return _shell(stage.entrypoint[0], stage.entrypoint[1], stage, files)
    words, at = list[str](), stage.at or Location(files.folder)
    for form in filter(None, (stage.entrypoint, stage.command)):
        if isinstance(form[0], str) and not stage.entrypoint:
            return _shell(form[0], form[1], stage, files)
        words += _split(form[0]) if isinstance(form[0], str) else form[0]
        at = form[1]
    if "torchserve" in words:
        words = words[words.index("torchserve") :]
    elif words[-1:] == ["serve"]:
        words = ["serve"]
    elif script := _script(words, files):
        return _shell(script, at, stage, files)
    return command_line.parse_words([_expand(word, stage) for word in words], at)


def _shell(text: str, at: Location, stage: _Stage, files: Files) -> Source:
    text = _expand(text, stage)
    if not command_line.is_start([text]) and (script := _script(text.split(), files)):
        text = _expand(script, stage)
    return command_line.parse(text, at)


def _script(words: list[str], files: Files) -> str:
    """The text of a script among the words that the image copies."""
    for word in words:
        if word.endswith(".sh") and (path := files.find(word)):
            return path.read_text(errors="replace")
    return ""


def _expand(text: str, stage: _Stage) -> str:
    """Variables that ENV and ARG set; others stay as they are."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        setting = stage.variables.get(name) or stage.arguments.get(name)
        return setting.value if setting else match[3] or match[0]

    return _VARIABLE.sub(value, text)


def _form(rest: str) -> str | list[str]:
    try:
        words = json.loads(rest)
    except ValueError:
        return rest
    return [str(word) for word in words] if isinstance(words, list) else rest


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _pairs(rest: str, *, legacy: bool) -> Iterator[tuple[str, str]]:
    words = _split(rest)
    if legacy and words and "=" not in words[0]:
        yield words[0], " ".join(words[1:])
        return
    for word in words:
        key, _, text = word.partition("=")
        yield key, text


def _copy(stage: _Stage, rest: str, folder: Path) -> None:
    form = _form(re.sub(r"--\w+(=\S+)?\s*", "", rest))
    words = form if isinstance(form, list) else form.split()
    if len(words) < 2:
        return
    *sources, target = words
    whole = PurePosixPath(target)
    for word in sources:
        if word in (".", "./"):
            stage.files[whole] = folder
            continue
        for source in sorted(folder.glob(word)) if not Path(word).is_absolute() else ():
            into = target.endswith("/") or len(sources) > 1 or whole.name in ("", ".")
            named = whole / source.name if into and source.is_file() else whole
            stage.files[named] = source
