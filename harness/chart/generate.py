"""What a chart's generated files must hold: schema, README table, version.

>>> generate(Path("apps/torchserve/chart"))  # path → what it must hold
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.chart import schema, values
from harness.chart.values import Value
from harness.core import yamlfile
from harness.core.errors import InputError

_BEGIN = "<!-- values: written by `harness generate` from values.yaml -->\n"
_END = "<!-- end of values -->"
_VERSION = re.compile(r"^version: (\d+\.\d+\.\d+)(\+[0-9a-f]{8})?$", re.MULTILINE)
_LONGEST_DEFAULT = 40  # characters: what still fits a table; the rest is in values.yaml


def generate(chart: Path) -> Mapping[Path, str]:
    """What the generated files of the chart in folder ``chart`` must hold.

    Raises:
        InputError: values without documentation, no marks in README.md, no version in Chart.yaml.
    """
    documented = values.read(chart / "values.yaml")
    files = {
        chart / "values.schema.json": schema.build(documented),
        chart / "README.md": _readme(chart / "README.md", documented),
    }
    return {**files, chart / "Chart.yaml": _chart_yaml(chart, files)}


def _readme(path: Path, documented: Sequence[Value]) -> str:
    text = yamlfile.read_text(path)
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise InputError(f"no place for the values: {_BEGIN.strip()} … {_END}", at=path)
    rows = "".join(
        f"| `{value.name}` | {value.text} | {_default(value.default)} |\n" for value in documented
    )
    return f"{before}{begin}\n| value | what it is | default |\n|---|---|---|\n{rows}\n{end}{after}"


def _default(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return f"`{text}`" if len(text) <= _LONGEST_DEFAULT else "see values.yaml"


def _chart_yaml(chart: Path, generated: Mapping[Path, str]) -> str:
    """Chart.yaml with ``X.Y.Z+<digest>``: the digest of every file that Helm would package.

    README.md and ci/ are left out, as .helmignore leaves them out: they change no release.
    """
    chart_yaml = chart / "Chart.yaml"
    metadata = yamlfile.read_text(chart_yaml)
    if not _VERSION.search(metadata):
        raise InputError("no `version: X.Y.Z`", at=chart_yaml)
    packaged = {
        "Chart.yaml": _VERSION.sub(r"version: \1", metadata),
        "values.schema.json": generated[chart / "values.schema.json"],
        "values.yaml": yamlfile.read_text(chart / "values.yaml"),
    }
    for path in (chart / "templates").rglob("*"):
        if path.is_file():
            packaged[path.relative_to(chart).as_posix()] = yamlfile.read_text(path)
    digest = hashlib.sha256(json.dumps(packaged, sort_keys=True).encode()).hexdigest()
    return _VERSION.sub(rf"version: \1+{digest[:8]}", metadata)
