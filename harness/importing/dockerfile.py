"""A Dockerfile that starts TorchServe: its last stage, exec and shell form, and what it copies.

Instructions are read as the Dockerfile reference has them. What ``RUN`` does to files of settings
is followed as far as the shell of it can be read; what only running it tells is named.
"""

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from harness.core.errors import Location
from harness.importing import command_line, files_there, installed, shell
from harness.importing.docker_run import is_torchserve, is_upstream
from harness.importing.files_there import Files, Piece, in_image
from harness.importing.shell import expand
from harness.importing.source import Remark, Setting, Source

_INSTRUCTION = re.compile(r"\s*([A-Za-z]+)\s+(.*)", re.DOTALL)
_HERE = re.compile(r"<<(-?)\s*([\"']?)(\w+)\2")
_SETTINGS = re.compile(r"config\.properties|model_snapshot|load_models")
_HARMLESS = {"touch", "chmod", "chown", "mkdir", "rm", "ls", "cat", "cp", "mv", "echo", "printf"}
_MADE = "made by the build: take it out of the image (docker cp), and give its folder with --store"


@dataclass
class _Stage:
    image: str = ""
    at: Location | None = None
    variables: dict[str, Setting] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)  # of the build alone
    entrypoint: "Form | None" = None
    command: "Form | None" = None
    files: Files = field(default_factory=lambda: Files(Path()))
    remarks: list[Remark] = field(default_factory=list)

    def known(self) -> dict[str, str]:
        """Variables that ENV and ARG set."""
        return {**self.arguments, **{key: each.value for key, each in self.variables.items()}}


Form = tuple[str | list[str], Location]
"""A text for the shell, or words; and where they stand."""


@dataclass(frozen=True)
class Run:
    """What a build, and a container of it, are given besides the Dockerfile.

    Attributes:
        context: the folder that COPY reads.
        target: the stage that is built.
        arguments: of the build.
        entrypoint: in place of the image's; None leaves that.
        command: in place of the image's; None leaves that.
        variables: of the container.
        mounts: what of this machine lies where there.
        texts: files that are known by their text.
    """

    context: Path | None = None
    target: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    entrypoint: Form | None = None
    command: Form | None = None
    variables: tuple[Setting, ...] = ()
    mounts: Mapping[PurePosixPath, Path] = field(default_factory=dict)
    texts: Mapping[PurePosixPath, tuple[Piece, ...]] = field(default_factory=dict)


def of_image(image: str, at: Location, run: Run) -> Source:
    """What a container of an image is started with, as if a Dockerfile were ``FROM`` alone."""
    folder = run.context or at.path.parent
    return _source(_with_run(_Stage(image, at=at, files=in_image(image, folder, {})), run))


def read(text: str, path: Path, build: Run | None = None) -> Source:
    """Read a Dockerfile; ``path`` is where it lies, with the files that it copies around it."""
    build = build or Run()
    folder = build.context or path.parent
    stage, stages = _Stage(files=Files(folder)), dict[str, _Stage]()
    everywhere: dict[str, str] = {}  # ARG before the first FROM
    for line, word, rest in _instructions(text):
        at = Location(path, line)
        if word == "FROM":
            if build.target and stages.get(build.target) is stage:
                break
            words = expand(re.sub(r"--platform=\S+\s*", "", rest), everywhere).split()
            image = words[0] if words else ""
            earlier = stages.get(image.lower())
            stage = _next(earlier, image, at, folder)
            stages[words[2].lower() if len(words) == 3 else str(len(stages))] = stage  # AS name
        elif word == "ARG" and not stages:
            everywhere |= {**dict(_pairs(rest, legacy=False)), **build.arguments}
        else:
            _instruct(stage, stages, (word, rest, at), {**everywhere, **build.arguments})
    return _source(_with_run(stage, build))


def _with_run(stage: _Stage, run: Run) -> _Stage:
    """The stage, with what its container is given."""
    for target, path in run.mounts.items():
        stage.files.copy(path, str(target))
    stage.files.texts |= run.texts
    for setting in run.variables:
        stage.variables[setting.key] = setting
    entry = stage.entrypoint if run.entrypoint is None else run.entrypoint
    default_command = stage.command if run.entrypoint is None else None
    command = default_command if run.command is None else run.command
    return replace(stage, entrypoint=entry, command=command)


def _next(earlier: _Stage | None, image: str, at: Location, folder: Path) -> _Stage:
    if earlier is None:
        return _Stage(image, at=at, files=in_image(image, folder, {}))
    before = earlier.files
    files = Files(folder, dict(before.targets), before.workdir, dict(before.texts))
    stage = replace(earlier, at=at, arguments={}, files=files)
    stage.variables, stage.remarks = dict(stage.variables), list(stage.remarks)
    return stage


def _instructions(text: str) -> Iterator[tuple[int, str, str]]:
    """Each instruction with its line, its continued lines joined, and its here-documents behind."""
    parts: list[str] = []
    start = 0
    lines = enumerate(text.splitlines(), 1)
    for number, line in lines:
        if line.lstrip().startswith("#") or (parts and not line.strip()):
            continue
        start = start if parts else number
        continued = line.rstrip().endswith("\\")
        parts.append(line.rstrip().removesuffix("\\") if continued else line)
        if continued:
            continue
        if match := _INSTRUCTION.match(" ".join(parts)):
            word, rest = match[1].upper(), match[2].strip()
            if word in ("RUN", "COPY", "ADD"):
                for tabs, _, end in _HERE.findall(rest):
                    rest += "\n" + _body(lines, end, tabs=bool(tabs))
            yield start, word, rest
        parts = []


def _body(lines: Iterator[tuple[int, str]], end: str, *, tabs: bool) -> str:
    body = []
    for _, line in lines:
        body.append(line.lstrip("\t") if tabs else line)
        if body[-1] == end:
            break
    return "\n".join(body)


def _instruct(
    stage: _Stage,
    stages: Mapping[str, _Stage],
    instruction: tuple[str, str, Location],
    build_arguments: Mapping[str, str],
) -> None:
    word, rest, at = instruction
    if word == "ENV":
        for key, text in _pairs(rest, legacy=True):
            stage.variables[key] = Setting(key, expand(text, stage.known()), at)
    elif word == "ARG":
        for key, text in _pairs(rest, legacy=False):
            stage.arguments[key] = build_arguments.get(key) or expand(text, stage.known())
    elif word == "WORKDIR":
        stage.files.workdir = stage.files.place(expand(rest.strip("\"'"), stage.known()))
    elif word in ("ENTRYPOINT", "CMD"):
        stage.command = (_form(rest), at) if word == "CMD" else None
        stage.entrypoint = stage.entrypoint if word == "CMD" else (_form(rest), at)
    elif word in ("COPY", "ADD"):
        _copy(stage, stages, expand(rest, stage.known()), at)
    elif word == "RUN":
        _run(stage, rest, at)
    elif word == "ONBUILD":
        why = f"acts in images that are built from this one: give the Dockerfile of those ({rest})"
        stage.remarks.append(Remark("ONBUILD", why, at))


def _run(stage: _Stage, rest: str, at: Location) -> None:
    """What a command of the build does to files, and which packages it installs."""
    rest = re.sub(r"^(?:--\w+(?:=\S+)?\s+)+", "", rest)
    form = _form(rest)
    text = shlex.join(form) if isinstance(form, list) else rest
    if match := re.match(r"\s*(?:(?:/bin/)?(?:ba)?sh\s+)?<<-?\s*[\"']?\w+[\"']?\s*\n", text):
        text = text[match.end() :].rpartition("\n")[0]
    script = shell.read(text, stage.known())
    stage.files.write(
        (each, Location(at.path, (at.line or 1) + each.line)) for each in script.writes
    )
    for command in script.commands:
        stage.remarks += installed.remarks(command.words, at)
        program = command.words[0].rpartition("/")[2] if command.words else ""
        if _SETTINGS.search(" ".join(command.words)) and program not in (*_HARMLESS, "sed", "tee"):
            why = "writes a configuration: give the file itself as another source"
            stage.remarks.append(Remark("RUN", why, at, lost=True))
        if program.startswith("torch-model-archiver") or any(
            word.endswith(".mar") and program in ("wget", "curl", "gsutil", "aws")
            for word in command.words
        ):
            stage.remarks.append(Remark(f"RUN {program}", f"its archive is {_MADE}", at))


def _source(stage: _Stage) -> Source:
    files = stage.files
    started = _start(stage, files)
    variables = [each for key, each in stage.variables.items() if key != "PATH"]
    remarks = [*stage.remarks]
    source = replace(started, variables=(*variables, *started.variables))
    if not source.commands and not source.problems and stage.at:
        why = "nothing here starts TorchServe in a way that can be read: add its command line"
        remarks.append(Remark("CMD", why, stage.at, lost=True))
    complete = files_there.with_files(source, files)
    return replace(complete, remarks=(*complete.remarks, *remarks))


def with_remarks(source: Source, remarks: Iterable[Remark], gpus: Setting | None) -> Source:
    """The source, with what else its container is given."""
    return replace(source, remarks=(*source.remarks, *remarks), gpus=source.gpus or gpus)


def _start(stage: _Stage, files: Files) -> Source:
    """What the container runs."""
    at = stage.at or Location(files.folder)
    entry, command = stage.entrypoint, stage.command
    if entry and isinstance(entry[0], str):  # its shell drops the words of CMD
        return _words(stage, files, ["sh", "-c", entry[0]], entry[1])
    if command and isinstance(command[0], str) and not (entry or is_upstream(stage.image)):
        return _words(stage, files, ["sh", "-c", command[0]], command[1])
    words = list(entry[0]) if entry else []
    if command:
        at = command[1]
        words += [command[0]] if isinstance(command[0], str) else command[0]
    elif entry:
        at = entry[1]
    if entry or _script(words, files)[0]:
        return _words(stage, files, words, at)
    if not words and not is_torchserve(stage.image):
        return Source()
    return command_line.by_image(stage.image, [expand(word, stage.known()) for word in words], at)


def _words(stage: _Stage, files: Files, words: list[str], at: Location) -> Source:
    """What words run: a script that lies in the image, or a command."""
    if words[:2] == ["sh", "-c"] and len(words) > 2:
        inside = split(words[2])
        if not command_line.is_start(inside) and _script(inside, files)[0]:
            words = inside
        else:
            return command_line.parse(words[2], at, stage.known())
    script, behind = _script(words, files)
    if not script:
        first = next((n for n, word in enumerate(words) if word.endswith("torchserve")), 0)
        known = stage.known()
        return command_line.parse_words([expand(word, known) for word in words[first:]], at)
    runs_words = bool(re.search(r"\"?\$[@*1]", script[0].text))
    if behind and behind != ["serve"] and runs_words:
        started = _words(stage, files, behind, at)
        if started.commands or started.problems:
            return started
    arguments = {str(number): word for number, word in enumerate(behind, 1)}
    return command_line.parse(script[0].text, script[0].at, {**stage.known(), **arguments})


def _script(words: list[str], files: Files) -> tuple[tuple[Piece, ...], list[str]]:
    """A script of the shell among the words that lies in the image, and the words behind it."""
    for number, word in enumerate(words):
        pieces = files.pieces(word) if "/" in word or "." in word or number == 0 else ()
        if pieces and (word.endswith(".sh") or re.match(r"#!.*sh\b", pieces[0].text)):
            return pieces, words[number + 1 :]
    return (), []


def _form(rest: str) -> str | list[str]:
    try:
        words = json.loads(rest)
    except ValueError:
        return rest
    return [str(word) for word in words] if isinstance(words, list) else rest


def split(text: str) -> list[str]:
    """The words of a text, as the shell splits it."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _pairs(rest: str, *, legacy: bool) -> Iterator[tuple[str, str]]:
    words = split(rest)
    if legacy and words and "=" not in words[0]:
        yield words[0], " ".join(words[1:])
        return
    for word in words:
        key, _, text = word.partition("=")
        yield key, text


def _copy(stage: _Stage, stages: Mapping[str, _Stage], rest: str, at: Location) -> None:
    """What COPY and ADD lay in the image."""
    rest, _, body = rest.partition("\n")
    form = _form(re.sub(r"--(?!from)\w+(=\S+)?\s*", "", rest))
    words = form if isinstance(form, list) else split(form)
    origin = next((word.partition("=")[2] for word in words if word.startswith("--from=")), "")
    words = [word for word in words if not word.startswith("--from=")]
    if len(words) < 2:
        return
    *sources, target = words
    if body:
        name = _HERE.search(rest)
        text = body.rpartition("\n")[0] + "\n"
        text = text if name and name[2] else expand(text, stage.known())
        place = stage.files.place(target)
        stage.files.texts[place] = (Piece(text, Location(at.path, (at.line or 1) + 1)),)
        return
    folder = stages[origin.lower()].files if origin.lower() in stages else stage.files
    for word in sources:
        into = target.endswith("/") or len(sources) > 1 or target in (".", "./")
        matches = [folder.find(word)] if origin else _here(stage.files.folder, word)
        for source in filter(None, matches):
            named = PurePosixPath(target, source.name) if into and source.is_file() else target
            stage.files.copy(source, str(named))
        unknown = re.match(r"https?://|git@", word) or (origin and not any(matches))
        if unknown and re.search(r"\.mar$|store|model", word):
            what = f"{'COPY' if origin else 'ADD'} {word}"
            stage.remarks.append(
                Remark(what, f"{'what it copies' if origin else 'it'} is {_MADE}", at)
            )


def _here(folder: Path, word: str) -> list[Path | None]:
    """The files of this machine that a word of COPY names; it is relative to the context."""
    name = word.lstrip("/")
    if name in ("", ".", "./"):
        return [folder]
    return [*sorted(folder.glob(name.removeprefix("./").rstrip("/")))] if "://" not in word else []
