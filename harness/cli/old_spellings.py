"""Calls as they were written before the commands were grouped; they work until END.

With this module its line in ``main`` goes, and nothing else.
"""

from collections.abc import Iterable, Sequence

from harness.cli.commands import VERBS

END = "2027-03-01"

# What stood there → what stands there now, with the environment that was the default then.
_COMMANDS = {
    ("promote",): ("release", "promote"),
    ("rollback",): ("release", "rollback", "--env", "production"),
    ("releases",): ("release", "list", "--env", "production"),
    ("notes",): ("release", "notes"),
    ("freeze",): ("release", "freeze", "--env", "production"),
    ("evidence", "add"): ("release", "evidence", "--env", "staging"),
    ("cluster", "status"): ("cluster", "processes"),
    ("cluster", "tools"): ("tools", "--cluster"),
}
_OPTIONS = {
    ("release", "promote"): {"--seen": "--source-state"},
    ("release", "copy"): {"--seen": "--source-state"},
    ("release", "observe"): {"--look": "--save-state"},
    ("status",): {"--every": "--all"},
}


def translate(words: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Return today's spelling of ``words``, and each (old, new) pair that was replaced."""
    replaced: list[tuple[str, str]] = []
    current = _with_action_first(list(words))
    if current != list(words):
        replaced.append((_command(words), _command(current)))
    for old, new in _COMMANDS.items():
        if tuple(current[: len(old)]) == old:
            current = [*new, *current[len(old) :]]
            replaced.append((f"harness {' '.join(old)}", f"harness {' '.join(new)}"))
            break
    if current[:2] == ["release", "promote"] and "--look" in _names(current):
        current[1] = "observe"
    return _options(current, replaced), replaced


def _with_action_first(words: list[str]) -> list[str]:
    """Return ``words`` with the action behind its verb: it could stand anywhere, or be left out."""
    name, rest = (words or [""])[0], words[1:]
    actions = VERBS[name].actions if name in VERBS else {}
    if not actions or (rest and not rest[0].startswith("-")) or rest[:1] in (["-h"], ["--help"]):
        return words
    action = next((word for word in rest if word in actions), None)
    if action:
        rest.remove(action)
        return [name, action, *rest]
    if name == "loadtest":
        return [name, "run", *rest]
    if name == "snapshot":
        action = "check" if "--check" in rest else "write"
        everything = [] if "--env" in _names(rest) else ["--all"]
        return [name, action, *everything, *(word for word in rest if word != "--check")]
    return words


def _options(words: list[str], replaced: list[tuple[str, str]]) -> list[str]:
    names = next((_OPTIONS[key] for key in _OPTIONS if tuple(words[: len(key)]) == key), {})
    current = []
    for word in words:
        name, equals, value = word.partition("=")
        if name in names:
            replaced.append((name, names[name]))
        current.append(f"{names.get(name, name)}{equals}{value}")
    return current


def _names(words: Iterable[str]) -> set[str]:
    return {word.partition("=")[0] for word in words}


def _command(words: Sequence[str]) -> str:
    """Return the words of a call that are ours: neither options nor what somebody filled in."""
    known = [word for word in words[1:3] if word in VERBS[words[0]].actions or word == "--all"]
    return " ".join(["harness", words[0], *known])
