"""What source-controller packs of a commit for Flux: not every file of it.

Of what ``sparseCheckout`` lists it packs the files that no ignore pattern matches. The patterns
are those of every ``.sourceignore`` in the tree, or, where there is none, a list of its own.
Links and submodules are never packed, and Git's attributes change nothing.

Source: github.com/fluxcd/pkg sourceignore v0.18.0 (patterns and their order) and artifact v0.18.1
(``SourceIgnoreFilter``, ``Archive``), as source-controller v1.9.2 uses them; a name that cannot be
unpacked: tar v1.2.0 (``validRelPath``). tests/e2e/test_artifact.py asks a real source-controller.
"""

import functools
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

FOLDERS = ("apps", "clusters", "infra")
"""What release.yaml and FluxInstance list under sparseCheckout."""

RELEASED = ("apps", "infra", "models")
"""What an environment takes from the commit that it pins; its own folder comes from main."""

IGNORE_FILE = ".sourceignore"

_VCS = (".git/", ".gitignore", ".gitmodules", ".gitattributes")
DEFAULT_PATTERNS = (
    *("*.jpg", "*.jpeg", "*.gif", "*.png", "*.wmv", "*.flv", "*.tar.gz", "*.zip"),
    *(".github/", ".circleci/", ".travis.yml", ".gitlab-ci.yml", "appveyor.yml", ".drone.yml"),
    *("cloudbuild.yaml", "codeship-services.yml", "codeship-steps.yml"),
    *("**/.goreleaser.yml", "**/.sops.yaml", "**/.flux.yaml"),
)
"""What is left out where there is no ``.sourceignore``, next to Git's own files."""

_LONGEST_LINE = 64 << 10  # bytes: Go's scanner stops at a line that is longer, without an error
_ANY_DEPTH = "**"
_CHARACTER = r"(?:\\.|[^\\\]-])"
_RANGE = re.compile(f"({_CHARACTER})(?:-({_CHARACTER}))?", re.DOTALL)
_CLASS = re.compile(rf"\[(\^?)((?:{_CHARACTER}(?:-{_CHARACTER})?)+)\]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A line of an ignore file: what it matches is left out, or kept where ``keeps``.

    Attributes:
        folder: of the ignore file; it sees nothing outside.
        parts: between slashes; of a pattern without one, the name at any depth.
    """

    folder: tuple[str, ...]
    parts: tuple[str, ...]
    keeps: bool
    folders_only: bool

    @classmethod
    def parse(cls, line: str, folder: Sequence[str] = ()) -> "Pattern":
        """Read a line as ``ParsePattern`` does."""
        keeps = line.startswith("!")
        line = line.removeprefix("!")
        if not line.endswith("\\ "):
            line = line.rstrip(" ")
        parts = tuple(line.removesuffix("/").split("/"))
        return cls(tuple(folder), parts, keeps, line.endswith("/"))

    def matches(self, path: Sequence[str]) -> bool:
        """Whether a file matches, given by the parts of its path."""
        below = path[len(self.folder) :]
        if not below or tuple(path[: len(self.folder)]) != self.folder:
            return False
        return self._path(below) if len(self.parts) > 1 else self._name(below)

    def _name(self, path: Sequence[str]) -> bool:
        last = len(path) - 1
        for index, name in enumerate(path):
            if _fits(self.parts[0], name):
                return not (self.folders_only and index == last)
        return False

    def _path(self, path: Sequence[str]) -> bool:
        remaining = list(path)
        matched = deep = False
        for index, part in enumerate(self.parts):
            if not part:
                deep = False
            elif part == _ANY_DEPTH:
                if index == len(self.parts) - 1:
                    break
                deep = True
            elif _ANY_DEPTH in part or not remaining:
                return False
            else:
                matched = _fits(part, remaining.pop(0))
                while deep and remaining and not matched:
                    matched = _fits(part, remaining.pop(0))
                if not matched and not deep:
                    return False
                deep = False
        return matched and not (self.folders_only and not remaining)


def patterns(ignore_files: Mapping[str, bytes]) -> list[Pattern]:
    """The patterns that count, the strongest last.

    Args:
        ignore_files: the ``.sourceignore`` files by their paths.
    """
    custom = [
        Pattern.parse(line, path.split("/")[:-1])
        for path in sorted(ignore_files, key=lambda path: path.split("/")[:-1])
        for line in _lines(ignore_files[path])
    ]
    return [*map(Pattern.parse, _VCS), *(custom or map(Pattern.parse, DEFAULT_PATTERNS))]


def ignores(counted: Sequence[Pattern]) -> Callable[[str], bool]:
    """A function that says whether a file is left out: the last pattern that matches decides."""

    def is_ignored(path: str) -> bool:
        parts = path.split("/")
        decides = next((each for each in reversed(counted) if each.matches(parts)), None)
        return decides is not None and not decides.keeps

    return is_ignored


def unpackable(path: str) -> str | None:
    """Why a file of that name stops Flux from unpacking the whole artifact, or None if it does not.

    A name that no terminal can show counts too: nobody can review it.
    """
    if "\\" in path:
        return "its name has a backslash: Flux refuses to unpack the artifact"
    if any(unicodedata.category(each) in ("Cc", "Cs") for each in path):
        return "its name cannot be shown, so nobody can review what Flux would apply"
    return None


def alike(paths: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of names that macOS or Windows take for one: a checkout there has only one of them."""
    first_names: dict[str, str] = {}
    pairs = []
    for path in sorted(paths):
        first = first_names.setdefault(unicodedata.normalize("NFC", path).casefold(), path)
        if first != path:
            pairs.append((first, path))
    return pairs


def _lines(content: bytes) -> Iterable[str]:
    for line in content.split(b"\n"):
        if len(line) >= _LONGEST_LINE:
            return
        text = line.removesuffix(b"\r").decode(errors="surrogateescape")
        if not text.startswith("#") and text.strip():
            yield text


def _fits(part: str, name: str) -> bool:
    expression = _expression(part)
    return expression is not None and expression.fullmatch(name) is not None


@functools.cache
def _expression(part: str) -> re.Pattern[str] | None:
    """A part of a pattern as Go's ``filepath.Match`` reads it, or None if it is malformed."""
    regex, rest = "", part
    while rest:
        if match := _CLASS.match(rest):
            regex += _class(match[1], match[2])
            rest = rest[match.end() :]
        elif rest[0] == "[" or rest == "\\":
            return None
        elif rest[0] == "\\":
            regex += re.escape(rest[1])
            rest = rest[2:]
        else:
            regex += {"*": ".*", "?": "."}.get(rest[0], re.escape(rest[0]))
            rest = rest[1:]
    return re.compile(regex, re.DOTALL)


def _class(negated: str, ranges: str) -> str:
    """A class of characters, such as ``[^a-z]``; a range that ends before it begins has none."""
    pairs = ((low[-1], (high or low)[-1]) for low, high in _RANGE.findall(ranges))
    inside = "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in pairs if low <= high)
    if inside:
        return f"[{negated}{inside}]"
    return "." if negated else "(?!)"
