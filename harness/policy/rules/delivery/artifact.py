"""The artifact: what Flux applies of a commit is what a checkout of it shows, and was judged.

source-controller packs a commit by patterns of its own and knows no attribute of Git's; a checkout
and `git archive` obey attributes and know no such pattern. See decision 15.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from harness.core.errors import Location
from harness.core.git import Git
from harness.core.problem import Problem
from harness.policy.project import Project
from harness.policy.rule import rule
from harness.render import artifact
from harness.render.artifact import Pattern

_ATTRIBUTES = ".gitattributes"
_LOCAL = ".git/info/attributes"
_DIFFER = {"export-ignore", "export-subst", "filter", "ident", "working-tree-encoding"}
_MACRO = "[attr]"


@rule(
    "artifact/attributes",
    why="with these attributes one commit has other files in a checkout, in an archive and in "
    "Flux: what was reviewed is not what is applied",
    fix="remove the attribute, or narrow its pattern to files outside apps, clusters and infra; "
    "`* text=auto eol=lf` changes nothing and stays",
)
def attributes(project: Project) -> Iterator[Problem]:
    root = project.repository.root
    files = _files(root)
    attribute_files = [path for path in files if Path(path).name == _ATTRIBUTES]
    macros: dict[str, str] = {}
    for path in (_ATTRIBUTES, _LOCAL, *attribute_files):
        folder = [] if path == _LOCAL else list(Path(path).parts[:-1])
        for number, line in enumerate(project.text(path).splitlines(), start=1):
            name, *words = line.split() or ["#"]
            differs = [each for each in words if _differs(each) or each in macros]
            if name.startswith(_MACRO) and differs:
                macros[name.removeprefix(_MACRO)] = differs[0]
            elif differs and not name.startswith("#"):
                pattern = Pattern.parse(name.strip('"'), folder)
                changed = [each for each in files if pattern.matches(each.split("/"))]
                if changed:
                    message = f"{differs[0]} changes {_some(changed)}"
                    yield Problem(message, Location(Path(path), number))


def _differs(word: str) -> bool:
    """Whether an attribute that is set makes a checkout or an archive other than the commit."""
    name, _, value = word.partition("=")
    return name in _DIFFER or (name == "eol" and value == "crlf")


@rule(
    "artifact/ignore-file",
    why="source-controller obeys it and people overlook it: an object that is in Git and was "
    "reviewed is never applied, or is removed",
    fix="remove the file; what Flux shall not apply is not listed in a kustomization.yaml",
)
def ignore_file(project: Project) -> Iterator[Problem]:
    for path in (*_files(project.repository.root), artifact.IGNORE_FILE):
        full = project.repository.root / path
        if full.name == artifact.IGNORE_FILE and os.path.lexists(full):
            yield Problem("hides files from Flux", Location(Path(path), 1))


@rule(
    "artifact/packed",
    why="source-controller packs no link, no submodule and no file that is named like a picture, "
    "an archive or a CI system's settings: what reads it finds nothing in the cluster",
    fix="put the file itself there, under a name that is packed (decision 15 lists the others)",
)
def files_are_packed(project: Project) -> Iterator[Problem]:
    root = project.repository.root
    # Git's own files are left out too, and nobody misses them.
    ignored = artifact.ignores([Pattern.parse(each) for each in artifact.DEFAULT_PATTERNS])
    for path in _read(project):
        around = [root / path, *(root / each for each in list(Path(path).parents)[:-1])]
        if any(each.is_symlink() for each in around):
            yield Problem("is a link, or lies behind one: Flux has no such file", _at(path))
        elif any((each / ".git").exists() for each in around[1:]):
            yield Problem("lies in a submodule: Flux has no such file", _at(path))
        elif ignored(path):
            yield Problem("has a name that source-controller leaves out", _at(path))


@rule(
    "artifact/committed",
    why="a file that Git ignores is on this machine alone: `harness check` reads it here, and "
    "Flux finds nothing",
    fix="git add --force FILE, or take it out of .gitignore; where Git was told not to look for "
    "changes: git update-index --no-assume-unchanged --no-skip-worktree FILE",
)
def files_are_committed(project: Project) -> Iterator[Problem]:
    root = project.repository.root
    if not (root / ".git").exists():  # a copy without history, or a commit that was laid out
        return
    git, read = Git(root), set(_read(project))
    words = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--")
    for path in git.run(*words, *artifact.FOLDERS).split("\0"):
        if path in read:
            yield Problem("is read here, and Git ignores it", _at(path))
    for line in git.run("ls-files", "-z", "-v", "--", *artifact.FOLDERS).split("\0"):
        tag, _, path = line.partition(" ")
        if path in read and (tag.islower() or tag == "S"):
            yield Problem("is read here, and Git does not look for its changes", _at(path))


@rule(
    "artifact/names",
    why="one name that Flux cannot unpack stops everything that comes from the commit; of two "
    "names that differ in case alone, macOS and Windows show one",
    fix="rename the file",
)
def names(project: Project) -> Iterator[Problem]:
    files = _files(project.repository.root)
    for path in files:
        if why := artifact.unpackable(path):
            yield Problem(f"{Path(path).name!a}: {why}", Location(_printable(Path(path).parent)))
    for first, second in artifact.alike(files):
        yield Problem(
            f"is the same name as {first!a} on some disks", Location(_printable(Path(second)))
        )


def _printable(path: Path) -> Path:
    """A path that every terminal can print."""
    return Path(ascii(str(path))[1:-1])


def _at(path: str) -> Location:
    return Location(Path(path), 1)


def _read(project: Project) -> list[str]:
    """Every file that an environment is rendered from."""
    return sorted({path for each in project.environments.values() for path in each.files})


def _files(root: Path) -> list[str]:
    """Every file and link below what Flux reads."""
    return sorted(
        str(Path(parent, name).relative_to(root))
        for folder in artifact.FOLDERS
        for parent, folders, files in os.walk(root / folder)
        for name in (*files, *(each for each in folders if Path(parent, each).is_symlink()))
    )


def _some(paths: list[str]) -> str:
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{paths[0]}{more}"
