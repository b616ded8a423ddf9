"""Shell as people start TorchServe with it: its simple commands, and the files that they write.

    read('DIR=/ts\\necho "load_models=all" > $DIR/config.properties\\ntorchserve --start')

Quotes, continued lines, comments, here-documents, redirections and variables that the text itself
sets are followed; what only running it can tell (``$(…)``, ``sed``) stays unknown, and is said.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

_TOKEN = re.compile(
    r"(?P<blank>[ \t\r]+|\\\n)"
    r"|(?P<comment>\#[^\n]*)"
    r"|(?P<redirection>[0-9]*&?(?:<<<|<<-?|<&|<|>>|>\||>&|>))"
    r"|(?P<operator>&&|\|\||;;|[;|&()\n])"
    r"|(?P<word>(?:\\.|'[^']*'|\"(?:\\.|[^\"\\])*\"|`[^`]*`|\$\{[^}]*\}|[^\s'\"\\;|&()<>`])+|.)",
    re.DOTALL,
)
_PIECE = re.compile(r"'([^']*)'|\"((?:\\.|[^\"\\])*)\"|\\(.)|([^'\"\\]+|.)", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::?[-=]([^}]*))?\})")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_RESERVED = {"if", "then", "elif", "else", "while", "until", "do", "{", "!", "time", "fi", "done"}
_UNKNOWN = "\ue000"  # what a $(…) prints
_DOLLAR = "\ue001"  # a dollar sign in single quotes
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}


@dataclass(frozen=True, slots=True)
class Write:
    """A change to a file: text that is written or appended, or the name of what is copied.

    Attributes:
        target: the file, as it is named.
        line: of the text, from 0.
        text: what is written; None if only running the command tells.
        source: the file that is copied, instead of text.
        append: whether what the file held before stays.
        command: what does it, for a message.
    """

    target: str
    line: int
    text: str | None = None
    source: str = ""
    append: bool = False
    command: str = ""


@dataclass(frozen=True, slots=True)
class Simple:
    """A simple command: its words, the assignments before it, its line (from 0)."""

    words: tuple[str, ...]
    line: int
    assigned: tuple[tuple[str, str], ...] = ()


@dataclass
class Script:
    """What a text does, in its order."""

    commands: list[Simple] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)


@dataclass
class _Open:
    """A command while it is read."""

    line: int = 0
    words: list[str] = field(default_factory=list)
    output: tuple[str, bool] | None = None  # the file, and whether it is appended to
    input: str | None = None  # a here-document, or what a pipe brings
    source: str = ""
    heredoc: bool = False  # whether the input is a here-document


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Variables that are known, and defaults of others; the rest stays as it is."""

    def replacement(match: re.Match[str]) -> str:
        known = variables.get(match[1] or match[2])
        return known if known is not None else match[3] if match[3] is not None else match[0]

    return _VARIABLE.sub(replacement, text)


def read(text: str, variables: Mapping[str, str] | None = None, *, escapes: bool = True) -> Script:
    """Follow a text.

    Args:
        text: a script, or a line.
        variables: what is set before it starts.
        escapes: whether ``echo`` takes a backslash and n for a new line, as dash's does.
    """
    script, known = Script(), {"PWD": ".", **(variables or {})}
    bash = text.startswith("#!") and "bash" in text.partition("\n")[0]
    piped: str | None = None
    for command, operator in _commands(_without_substitutions(text), known):
        words = command.words
        while words and words[0] in _RESERVED:
            words = words[1:]
        command.input = piped if command.input is None else command.input
        printed = _output(words, command.input, escapes=escapes and not bash)
        script.writes += _writes(words, command, printed)
        piped = printed if operator == "|" else None
        exports = words[:1] == ["export"]
        rest = words[1:] if exports else words
        first = next((n for n, word in enumerate(rest) if not _ASSIGNMENT.fullmatch(word)), None)
        pairs = [(word.partition("=")[0], word.partition("=")[2]) for word in rest[:first]]
        pairs = [(name, text) for name, text in pairs if _UNKNOWN not in text]
        if exports or first is None:
            known |= dict(pairs)
        if exports and first is not None:
            pairs += [(name, known[name]) for name in rest[first:] if name in known]
        exported = tuple(pairs) if exports or first is not None else ()
        left = () if exports or first is None else tuple(map(_shown, rest[first:]))
        if left or exported:
            script.commands.append(Simple(left, command.line, exported))
    return script


def _without_substitutions(text: str) -> str:
    """The text with each ``$(…)`` as one character; one that names the script's folder as it."""
    parts, position = [], 0
    while (start := text.find("$(", position)) >= 0:
        end, depth = start + 2, 1
        while end < len(text) and depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        inner = text[start:end]
        is_folder = re.search(r"\bpwd\b|\bdirname\b", inner) and "realpath" not in inner
        parts += [text[position:start], "." if is_folder else _UNKNOWN]
        position = end
    return "".join(parts) + text[position:]


def _commands(text: str, known: Mapping[str, str]) -> Iterator[tuple[_Open, str]]:
    """Each simple command, and the operator behind it."""
    position, taken, command = 0, 0, _Open()
    expects = ""  # a redirection whose word comes next
    while position < len(text):
        match = _TOKEN.match(text, position)
        assert match  # noqa: S101 - its last branch is any character
        position, kind, token = match.end(), match.lastgroup, match[0]
        if kind == "redirection":
            expects = token
        elif kind == "operator":
            yield command, token
            command, expects = _Open(text.count("\n", 0, position) + taken), ""
        elif kind == "word" and re.fullmatch(r"0?<<-?", expects):
            plain = re.sub(r"['\"\\]", "", token)
            start = text.find("\n", position) + 1 or len(text)
            body, end = _body(text, start, plain, tabs=expects.endswith("-"))
            taken += text.count("\n", start, end)
            text = text[:start] + text[end:]
            command.input, expects = body if plain != token else _here(body, known), ""
            command.heredoc = True
        elif kind == "word":
            words = _words_of(token, known)
            if not expects:
                command.words += words
            elif "<<<" in expects:
                command.input = " ".join(words) + "\n"
            elif expects in ("<", "0<"):
                command.source = words[0]
            elif ">" in expects and expects[0] != "2" and not expects.endswith(">&"):
                command.output = (words[0], ">>" in expects)
            expects = ""
    yield command, ""


def _words_of(token: str, known: Mapping[str, str]) -> list[str]:
    """The words that a word becomes: without its quotes, variables in place of their names."""
    text, quoted = "", False
    for single, double, escaped, plain in _PIECE.findall(token):
        if single:
            text += single.replace("$", _DOLLAR)
        elif double:
            plain_text = double.replace("\\\n", "").replace("\\$", _DOLLAR)
            text += re.sub(r"\\([\\\"`])", r"\1", plain_text)
        else:
            text += escaped.replace("$", _DOLLAR) or plain
        quoted = quoted or bool(single or double) or token[:1] in "'\""
    expanded = expand(text, known)
    return expanded.split() or [""] if not quoted and expanded != text else [expanded]


def _here(body: str, known: Mapping[str, str]) -> str:
    """The text of a here-document whose end is not quoted."""
    plain = re.sub(r"\\([\\`\n])", lambda m: "" if m[1] == "\n" else m[1], body)
    return expand(plain.replace("\\$", _DOLLAR), known)


def _body(text: str, position: int, end: str, *, tabs: bool) -> tuple[str, int]:
    """The text of a here-document that begins at a position, and where it ends."""
    lines = []
    while position < len(text):
        line, newline, _ = text[position:].partition("\n")
        position += len(line) + len(newline)
        line = line.lstrip("\t") if tabs else line
        if line.rstrip("\r") == end:
            break
        lines.append(line)
    return "".join(f"{line}\n" for line in lines), position


def _output(words: Sequence[str], stdin: str | None, *, escapes: bool) -> str | None:
    """What a command prints, ``given`` its input; None if only running it tells."""
    name, *rest = words or [""]
    if name == "echo":
        options = [word for word in rest[:2] if re.fullmatch(r"-[neE]+", word)]
        text = " ".join(rest[len(options) :])
        if escapes or any("e" in word for word in options):
            text = _unescape(text)
        return text if any("n" in word for word in options) else f"{text}\n"
    if name == "printf" and rest:
        values = iter(rest[1:])
        text = re.sub(r"%[sd]", lambda _: next(values, ""), _unescape(rest[0]))
        return text.replace("%%", "%")
    return stdin if name == "tee" or (name == "cat" and rest in ([], ["-"])) else None


def _unescape(text: str) -> str:
    return re.sub(r"\\([ntr\\])", lambda match: _ESCAPES[match[1]], text)


def _writes(words: Sequence[str], command: _Open, printed: str | None) -> Iterator[Write]:
    """The files that a command changes."""
    name, *rest = [_shown(word) for word in words] or [""]
    line = command.line + (command.heredoc and printed is not None)
    named = [word for word in rest if not word.startswith("-")]
    change = Write("", line, command=name, text=None if printed is None else _shown(printed))
    if command.output:
        target, append = _shown(command.output[0]), command.output[1]
        source = named[0] if name == "cat" and len(named) == 1 else ""
        source = command.source if name in ("cat", "envsubst") and command.source else source
        yield replace(change, target=target, append=append, source=source)
    if name == "tee":
        for target in named:
            yield replace(change, target=target, append="-a" in rest)
    elif name in ("cp", "mv", "install", "ln") and len(named) > 1:
        for source in named[:-1]:
            yield replace(change, target=named[-1], source=source)
    elif name in ("sed", "perl") and any(word.startswith("-i") for word in rest) and named:
        yield replace(change, target=named[-1], append=True)


def _shown(text: str) -> str:
    return text.replace(_UNKNOWN, "$(…)").replace(_DOLLAR, "$")
