"""``torchserve --start …`` as TorchServe's own parser reads it (``ts/arg_parser.py`` of 0.12).

    parse("torchserve --start --model-store /models --models all", Location(...))

Shell around it (``cd /app && exec torchserve … | tee log``) and ``docker run`` are looked through.
"""

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NoReturn

from harness.core.errors import Location
from harness.core.problem import Problem
from harness.core.suggest import did_you_mean
from harness.importing import docker_run, files_there, pods, shell
from harness.importing.files_there import in_image
from harness.importing.shell import Simple
from harness.importing.source import Command, Remark, Setting, Source, join

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_REGISTRATION = re.compile(r"/models/?\?(?:.*&)?url=([^&\s]+)")
_PROGRAM = re.compile(r"(?:.*/)?torchserve\s*")
_START = re.compile(r"\btorchserve\s")
_SHELLS = {"sh", "bash", "ash", "dash", "zsh"}
_IS_SCRIPT = re.compile(r"-[a-z]*c")  # `bash -lc "torchserve …"`
_ACTIVATES = re.compile(r"activate|conda|profile|bashrc|venv")
_DEEPEST = 4  # texts in texts, such as sh -c "su -c 'torchserve …'"
_BEFORE = {"exec", "nohup", "env", "export", "sudo", "tini", "dumb-init", "--", "-E", "-s", "-g"}
_AROUND = {
    *("gosu", "su-exec", "numactl", "taskset", "timeout", "nice", "ionice", "stdbuf", "setsid"),
    *(
        "conda",
        "mamba",
        "micromamba",
        "poetry",
        "pipenv",
        "uv",
        "xvfb-run",
        "opentelemetry-instrument",
    ),
    *("nsys", "singularity", "apptainer", "catchsegv", "chpst", "runuser", "setpriv", "python3"),
}
"""Programs that start another one, whose words come behind their own."""
_NESTING = {*_SHELLS, *_AROUND, "su", "ssh", "docker", "podman", "kubectl", "tmux", "screen"}
"""Programs that take a text for the shell: ``su USER -c "torchserve …"``."""
_IMAGES_OWN = (
    "torchserve --start --ts-config /home/model-server/config.properties --disable-token-auth"
)
"""What the entry point of pytorch/torchserve runs for the word ``serve``."""


class _Refusal(Exception):  # noqa: N818 - argparse's words, caught below
    pass


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _Refusal(message)


def is_start(words: Sequence[str]) -> bool:
    """Whether words, or a text of the shell among them, start TorchServe."""
    return any(re.search(r"\btorchserve\b", word) for word in words) or list(words) == ["serve"]


def parse(
    text: str, at: Location, variables: Mapping[str, str] | None = None, depth: int = 0
) -> Source:
    """Read a command line, or a script of one or more lines.

    Args:
        text: what the shell runs.
        at: where it stands.
        variables: what its environment has, and its arguments by their numbers.
        depth: in how many other texts it stands.
    """
    if depth > _DEEPEST:
        return Source()
    script = shell.read(text, variables)
    parts = [_part(each, _line(at, each.line), depth) for each in script.commands]
    return replace(
        join(parts), writes=tuple((each, _line(at, each.line)) for each in script.writes)
    )


def _line(at: Location, line: int) -> Location:
    """The place of a line (from 0) of a text that begins at a place."""
    return Location(at.path, at.line and at.line + line)


def parse_words(words: Sequence[str], at: Location) -> Source:
    """Read the words of a command, as in the exec form of a Dockerfile."""
    if list(words) == ["serve"]:
        return parse(_IMAGES_OWN, at)
    for number, word in enumerate(words):
        if word.rpartition("/")[2] in _SHELLS:
            rest = list(words[number + 1 :])
            option = next((n for n, each in enumerate(rest[:3]) if _IS_SCRIPT.fullmatch(each)), -1)
            if option >= 0:
                script = rest[option + 1 :][:1]
                return parse(script[0], at) if script else Source()
    return _part(Simple(tuple(words), 0), at)


def by_image(image: str, words: Sequence[str], at: Location) -> Source:
    """Read the words that a container is given, behind the entry point of its image."""
    if not words and docker_run.is_torchserve(image):
        words = ["serve"]
    if list(words) == ["serve"]:
        return parse(_IMAGES_OWN, at)
    options = bool(words) and words[0].startswith("-")
    if docker_run.is_torchserve(image) and (options or docker_run.is_upstream(image)):
        # Upstream's entry point says: eval "$@"
        return parse(" ".join(["torchserve", *words] if options else words), at)
    return parse_words(words, at)


def _part(command: Simple, at: Location, depth: int = 0) -> Source:
    """One simple command of a line."""
    assigned, rest = _assignments(command.words)
    variables = tuple(Setting(key, text, at) for key, text in (*command.assigned, *assigned))
    if run := docker_run.read(rest, at.path.parent):
        return _container(run, at)
    if rest[:1] in (["source"], ["."]) and len(rest) > 1:
        return _variables_of(rest[1], at)
    nested = next((word for word in rest if " " in word and _START.search(word)), "")
    program = rest[0].rpartition("/")[2] if rest else ""
    if rest[:1] == ["eval"] or (nested and (program in _NESTING or nested == rest[0])):
        inner = parse(nested or " ".join(rest[1:]), at, depth=depth + 1)
        return replace(inner, variables=(*variables, *inner.variables))
    at_start = next((n for n, word in enumerate(rest) if _PROGRAM.fullmatch(word)), -1)
    if at_start < 0 or not (at_start == 0 or rest[0].rpartition("/")[2] in _AROUND):
        # `export A=1; torchserve …`: a variable of what follows.
        remarks = tuple(_registrations(rest, at))
        return Source(variables=() if rest else variables, remarks=remarks)
    rest = rest[at_start:]
    if "--start" not in rest and ("--stop" in rest or "--version" in rest or "-v" in rest):
        return Source(variables=variables)
    try:
        started, more = _command(rest[1:], at)
    except _Refusal as error:
        problem = Problem(f"torchserve refuses this command: {error}", at)
        return Source(variables=variables, problems=(problem,))
    return Source(commands=(started,), variables=variables, remarks=tuple(more))


def _variables_of(name: str, at: Location) -> Source:
    """The variables of a file that a script reads."""
    path = at.path.parent / name
    if path.is_file():
        return Source(variables=tuple(Setting(*pair, at) for pair in docker_run.env_file(path)))
    if _ACTIVATES.search(name):
        return Source()
    why = f"{name} is not here: its variables are unknown → add it as a source, if it sets any"
    return Source(remarks=(Remark("source", why, at, lost=True),))


def _container(run: docker_run.Run, at: Location) -> Source:
    """What a container is started with, if it serves."""
    if not (docker_run.is_torchserve(run.image) or is_start(run.command)):
        return Source()
    variables = tuple(Setting(key, text, at) for key, text in run.variables)
    gpus = Setting("number_of_gpu", run.gpus, at) if run.gpus.isdecimal() else None
    inside = by_image(run.image, run.command, at)
    inside = replace(inside, variables=(*variables, *inside.variables), gpus=gpus)
    remarks = tuple(pods.value(place, node, at, what=what) for what, place, node in run.named)
    return files_there.with_files(
        replace(inside, remarks=(*inside.remarks, *remarks)),
        in_image(run.image, at.path.parent, run.mounts),
    )


def _registrations(words: Sequence[str], at: Location) -> Iterator[Remark]:
    """The models that a line of a script registers while the server runs."""
    for match in filter(None, map(_REGISTRATION.search, words)):
        why = "not at run time here → add it to --models, or import http://HOST:8081 as it runs"
        yield Remark(f"POST /models: {match[1]}", why, at, lost=True)


def _assignments(words: Sequence[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Variables before a command, and the command without what only starts it."""
    assigned = []
    rest = list(words)
    while rest:
        if match := _ASSIGNMENT.fullmatch(rest[0]):
            assigned.append((match[1], match[2]))
        elif rest[0].rpartition("/")[2] not in _BEFORE:
            break
        rest = rest[1:]
    return assigned, rest


def _command(words: Sequence[str], at: Location) -> tuple[Command, list[Remark]]:
    parser = _Parser(add_help=False)
    parser.add_argument("--start", action="store_true")
    parser.add_argument("--ts-config", dest="config", default="")
    for option in ("--model-store", "--workflow-store", "--log-config", "--cpp-log-config"):
        parser.add_argument(option, default="")
    parser.add_argument("--models", nargs="+", default=[])
    parser.add_argument("--plugins-path", "--ppath", dest="plugins_path", default="")
    parser.add_argument("--foreground", action="store_true")
    parser.add_argument("--no-config-snapshots", "--ncs", dest="ncs", action="store_true")
    parser.add_argument("--disable-token-auth", "--dt", dest="dt", action="store_true")
    parser.add_argument("--enable-model-api", dest="enable_model_api", action="store_true")
    args, unknown = parser.parse_known_args(list(words))
    if unknown:
        known = [option for action in parser._actions for option in action.option_strings]  # noqa: SLF001
        raise _Refusal(f"unrecognized {unknown[0]}{did_you_mean(unknown[0], known)}")
    remarks = []
    if args.log_config:
        why = "the launcher has a log configuration of its own: no request waits for the log"
        remarks.append(Remark("--log-config", why, at))
    if args.ncs:
        remarks.append(Remark("--no-config-snapshots", "no snapshot is ever restored here", at))
    command = Command(
        at=at,
        config=args.config,
        model_store=args.model_store,
        workflow_store=args.workflow_store,
        # The JVM gets them one by one, and joins them with commas.
        models=tuple(args.models),
        log_config=args.log_config,
        cpp_log_config=args.cpp_log_config,
        plugins_path=args.plugins_path,
        disable_token_auth=args.dt,
        enable_model_api=args.enable_model_api,
    )
    return command, remarks
