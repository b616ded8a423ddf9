"""What helm refuses, as problems of the lines that a person wrote: values, templates, Chart.yaml.

helm's own words are turned into this repository's: the value's path, what it is, what it must be.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from harness.core.errors import InputError
from harness.core.fix import NOTHING, REMOVED, Fix, advise, set_at
from harness.core.problem import Location, Problem
from harness.core.suggest import did_you_mean
from harness.core.values import KeyPath, dig, mapping
from harness.render.helm import HelmError
from harness.render.provenance import Sources
from harness.render.tree import Tree

# helm's validator: github.com/santhosh-tekuri/jsonschema/v6, kind/kind.go and locale.
_REFUSED = re.compile(r"^\s*- at '(?P<path>[^']*)': (?P<why>.+)$", re.MULTILINE)
_FAULT = re.compile(r"^  - (.+)$", re.MULTILINE)  # the chart's own `fail`
_NUMBERED = re.compile(r"(?=.*\d)\S{3,}")  # what is hardly a word by chance
_UNKNOWN = re.compile(r"additional propert(?:y|ies) (.+) not allowed")
_TYPE = re.compile(r"got (?P<actual>[\w ]+), want (?P<expected>.+)")
_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
    "number": "a number",
}
_NOISE = (
    r"\s*Use --debug flag to render out invalid YAML\s*$",
    r"^execution error at \([^)]*\): ",
    r"^parse error at \([^)]*\): ",
    r"^YAML parse error on \S+: error converting YAML to JSON: ",
    r"^an error occurred while checking for chart dependencies\..*?: (?=found)",
    r"^[\w.-]+/(?:templates|charts)/\S+\n",
    r"^validation: ",
)
_AT = r'^\s*executing "[^"]*" at <(.+?)>:\s*'
_WORDS = (
    (rf"{_AT}nil pointer evaluating \S+(?: \{{\}}\S*)?", r"\1: what holds it is not set"),
    (rf"{_AT}error calling \w+:\s*", r"\1: "),
    (_AT, r"\1: "),
    (r'template: no template "(\S+)" associated with template "\w+"', r"there is no template \1"),
    (r'function "(\w+)" not defined', r"there is no function \1"),
    (r"^yaml: line \d+: (.+)", r"makes no YAML: \1"),
    (r"cannot load (\S+): .*unmarshal.*", r"\1 of the chart is not a mapping of keys"),
    (r"chart\.metadata\.(\w+) is required", r"Chart.yaml has no \1"),
    (r"found in Chart\.yaml, but missing in charts/ directory: (.+)", r"\1 is not in charts/"),
)


def explain(
    error: HelmError, tree: Tree, chart: str, values: Sources, release: Location
) -> InputError:
    """The same error as problems of the lines that it is about.

    Args:
        error: what helm said.
        tree: where the chart lies.
        chart: its folder, or its name where it is not in this repository.
        values: the documents that gave values, the last word first.
        release: the line that names the chart: the place of what no file says.
    """
    plain = message = error.message
    if refused := list(_refused_values(message, tree, chart, values, release)):
        return InputError.of(refused)
    if faults := list(_own_faults(message, tree, chart, values, release)):
        return InputError.of(faults)
    for pattern in _NOISE:
        plain = re.sub(pattern, "", plain.strip(), flags=re.DOTALL)
    for pattern, words in _WORDS:
        plain = re.sub(pattern, words, plain.strip(), flags=re.DOTALL)
    at = _location(message, tree, chart, release)
    return InputError.of([Problem(" ".join(plain.split()), at)])


def _own_faults(
    message: str, tree: Tree, chart: str, values: Sources, release: Location
) -> Iterator[Problem]:
    """What the chart itself refuses, each at the value that it speaks of, or begins with."""
    default = _location(message, tree, chart, release)
    for fault in _FAULT.findall(message):
        keys = tuple(fault.partition(" ")[0].rstrip(":").split("."))
        yield Problem(fault, _quoted_value(values, fault) or _value_location(values, keys, default))


def _quoted_value(values: Sources, fault: str) -> Location | None:
    """The value of a release, such as a port or an address, that a fault repeats."""
    words = {word for word in re.split(r"[\s,:=/]+", fault) if _NUMBERED.fullmatch(word)}
    for parsed, base in values:
        for path in parsed.lines if base else ():
            if path[: len(base)] == base and str(dig(parsed.value, *path)) in words:
                return parsed.at(path)
    return None


def _keys(pointer: str) -> KeyPath:
    parts = (part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])
    return tuple(int(part) if part.isdecimal() else part for part in parts)


def _refused_values(
    message: str, tree: Tree, chart: str, values: Sources, release: Location
) -> Iterator[Problem]:
    for match in _REFUSED.finditer(message):
        keys, why = _keys(match["path"]), match["why"]
        if unknown := _UNKNOWN.fullmatch(why):
            known = _known(tree, chart, keys)
            for name in re.findall(r"'([^']+)'", unknown[1]):
                at = _value_location(values, (*keys, name), release)
                near = did_you_mean(name, known)
                yield Problem(
                    f"{_with_dots((*keys, name))} is not a value of {chart}{near}",
                    at,
                    fix=_right_name(values, (*keys, name), near.rpartition(" ")[2].rstrip("?")),
                )
            continue
        at = _value_location(values, keys, release)
        yield Problem(f"{_with_dots(keys)} {_reason(why)}", at, fix=_of_type(why, at, values, keys))


def _with_dots(keys: KeyPath) -> str:
    return ".".join(map(str, keys))


def _reason(why: str) -> str:
    """Why a value is refused, as a part of a sentence that begins with its path."""
    if match := _TYPE.fullmatch(why):
        expected = [_TYPES.get(each, each) for each in re.split(r", | or ", match["expected"])]
        actual = _TYPES.get(match["actual"], match["actual"])
        return f"must be {' or '.join(expected)}, not {actual}"
    words = re.sub(r"^value must be one of", "must be one of", why)
    words = re.sub(r"^missing propert(y|ies)", "lacks", words)
    if match := re.fullmatch(r"('.*') does not match pattern ('.*')", words):
        return f"is {match[1]}, which does not match {match[2]}"
    return words if words.startswith(("must", "lacks")) else f"is wrong: {words}"


def _of_type(why: str, at: Location, values: Sources, keys: KeyPath) -> Fix:
    """Text that is a number, or a number that should be text, as it should be."""
    paths = [(each, (*base, *keys)) for each, base in values]
    written = next((dig(each.value, *path) for each, path in paths if path in each.lines), None)
    match = _TYPE.fullmatch(why)
    expected = match["expected"] if match else ""
    if "string" in expected and isinstance(written, int | float) and not isinstance(written, bool):
        return set_at(at, str(written))
    if "integer" in expected and isinstance(written, str) and written.isdecimal():
        return set_at(at, int(written))
    if "boolean" in expected and written in ("true", "false"):
        return set_at(at, written == "true")
    return NOTHING


def _right_name(values: Sources, keys: KeyPath, meant: str) -> Fix:
    """The same value under the name that was meant; or the advice to take it out."""
    for each, base in values:
        if (*base, *keys) in each.lines and meant:
            written = dig(each.value, *base, *keys)
            right = (*base, *keys[:-1], meant)
            if right not in each.lines:
                return set_at(each.at(right), written) + set_at(each.at((*base, *keys)), REMOVED)
    return advise("correct its name, or take it out; the chart's README has every value")


def _known(tree: Tree, chart: str, keys: KeyPath) -> list[str]:
    """The values that a chart has at a path."""
    try:
        (parsed, *_) = tree.documents(f"{chart}/values.yaml")
    except (InputError, ValueError):
        return []
    return [str(key) for key in mapping(parsed.value, *keys)]


def _value_location(values: Sources, keys: KeyPath, default: Location) -> Location:
    for parsed, base in values:
        if (*base, *keys) in parsed.lines:
            return parsed.at((*base, *keys))
    return default


def _location(message: str, tree: Tree, chart: str, release: Location) -> Location:
    """The line of a template, or of Chart.yaml, that helm speaks of."""
    if match := re.search(r"[\w.-]+/((?:templates|charts)/[^\s:)]+)(?::(\d+))?", message):
        return Location(Path(chart, match[1]), int(match[2]) if match[2] else 1)
    if match := re.search(r"cannot load (\S+\.ya?ml): ", message):
        return Location(Path(chart, match[1]), 1)
    about_chart = re.search(r"Chart\.ya?ml|kubeVersion|chart\.metadata", message)
    if about_chart and (tree.root / chart / "Chart.yaml").is_file():
        named = re.search(r"(?:directory: |metadata\.)(\w+)", message)
        return tree.mention((f"{chart}/Chart.yaml",), named[1] if named else "kubeVersion")
    return release
