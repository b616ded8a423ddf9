"""``torchserve --start …`` as TorchServe's own parser reads it (``ts/arg_parser.py`` of 0.12).

    parse("torchserve --start --model-store /models --models all", Location(...))

Shell around it (``cd /app && exec torchserve … | tee log``) and ``docker run`` are looked through.
"""

import argparse
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NoReturn

from harness.core.errors import Location
from harness.core.problem import Problem
from harness.core.suggest import did_you_mean
from harness.importing import docker_run
from harness.importing.source import Command, Remark, Setting, Source, join

_OPERATORS = {"&&", "||", ";", "|", "&", "(", ")"}
_REDIRECTION = re.compile(r"[0-9&]*[<>]")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_REGISTRATION = re.compile(r"/models/?\?(?:.*&)?url=([^&\s]+)")
_HERE = re.compile(r"\$\(pwd\)|`pwd`")  # `docker run -v $(pwd)/store:/store`
_SHELLS = {"sh", "bash", "ash", "dash", "zsh"}
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


def parse(text: str, at: Location) -> Source:
    """Read a command line, or a script of one or more lines."""
    try:
        lexer = shlex.shlex(
            _HERE.sub(".", _logical(text)), posix=True, punctuation_chars="();<>|&\n"
        )
        lexer.whitespace = " \t\r"
        lexer.whitespace_split = True
        return parse_words(list(lexer), at)
    except ValueError as error:
        return Source(problems=(Problem(f"the command cannot be read: {error}", at),))


def _logical(text: str) -> str:
    """A script without lines of comments, its continued lines joined."""
    lines = text.replace("\\\n", " ").splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def parse_words(words: Sequence[str], at: Location) -> Source:
    """Read the words of a command, as in the exec form of a Dockerfile."""
    if list(words) == ["serve"]:
        words = shlex.split(_IMAGES_OWN)
    words = list(words)
    for number, word in enumerate(words):
        if word.rpartition("/")[2] in _SHELLS and "-c" in words[number + 1 : number + 4]:
            script = words[words.index("-c", number) + 1 :][:1]
            return parse(script[0], at) if script else Source()
        if len(words) > 1 and " " in word and re.search(r"\btorchserve\s", word):
            return parse(word, at)
    return join(_part(part, at) for part in _parts(words))


def _part(words: Sequence[str], at: Location) -> Source:
    """One simple command of a line."""
    assigned, rest = _assignments(words)
    variables = tuple(Setting(key, text, at) for key, text in assigned)
    if run := docker_run.read(rest):
        return _container(run, at)
    if not rest or rest[0].rpartition("/")[2] != "torchserve":
        # `export A=1; torchserve …`: a variable of what follows.
        remarks = tuple(_registrations(rest, at))
        return Source(variables=() if rest else variables, remarks=remarks)
    if "--start" not in rest and ("--stop" in rest or "--version" in rest or "-v" in rest):
        return Source(variables=variables)
    try:
        command, more = _command(rest[1:], at)
    except _Refusal as error:
        problem = Problem(f"torchserve refuses this command: {error}", at)
        return Source(variables=variables, problems=(problem,))
    return Source(commands=(command,), variables=variables, remarks=tuple(more))


def _container(run: docker_run.Run, at: Location) -> Source:
    """What a container is started with, if it serves."""
    if not (docker_run.is_torchserve(run.image) or is_start(run.command)):
        return Source()
    variables = tuple(Setting(key, text, at) for key, text in run.variables)
    gpus = Setting("number_of_gpu", run.gpus, at) if run.gpus.isdecimal() else None
    inside = parse_words(run.command or ["serve"], at)
    return replace(inside, variables=(*variables, *inside.variables), gpus=gpus)


def _parts(words: Sequence[str]) -> Iterator[list[str]]:
    """The simple commands of a line, without redirections."""
    part: list[str] = []
    redirected = False
    for word in (*words, ";"):
        if word in _OPERATORS or not word.strip() or set(word) <= set("&|;\n"):
            if part:
                yield part
            part, redirected = [], False
        elif _REDIRECTION.match(word):
            redirected = word.rstrip("&").endswith((">", "<"))
        elif redirected:
            redirected = False
        else:
            part.append(word)


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
        elif rest[0] not in ("exec", "nohup", "env", "export", "sudo", "tini", "dumb-init", "--"):
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
