"""The map of the packages in ``harness/__init__.py`` names all of them."""

import re
from pathlib import Path

import harness


def test_the_map_names_every_package_and_module() -> None:
    existing = {
        path.stem
        for path in Path(harness.__file__).parent.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    text = harness.__doc__ or ""
    listed = re.findall(r"^    (\w+(?:, \w+)*)  ", text, re.MULTILINE)
    mapped = {name for names in listed for name in names.split(", ")}
    mapped.update(re.findall(r"``(\w+)``", text))
    assert mapped == existing - {"__init__", "__main__"}
