"""The folder of schemas that every document is validated by, made once from pinned Go modules.

tools/schemas/modules.yaml pins them: Kubernetes' own swagger and the CRDs of everything else. Only
the modules themselves are fetched, not what they depend on, and each is checked against its hash.
"""

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

import yaml

from harness import tools
from harness.core import command, console, files, user_cache, yamlfile
from harness.core.errors import HarnessError, InputError
from harness.core.repository import Repository
from harness.core.values import dig, items, text
from harness.core.yamlfile import ManifestLoader
from harness.schema import strict

PINS = Path("tools/schemas/modules.yaml")
CRDS = "crds"
_STAMP = ".pin"  # in the folder of schemas: the pins that it was made from
"""Next to the schemas, one folder per module with the CustomResourceDefinitions of the schemas."""


def find(repository: Repository) -> Path:
    """The folder of schemas, made now if it is missing or a pin has changed.

    Raises:
        HarnessError: a module cannot be downloaded, or is not the pinned one.
    """
    if not is_built(repository):
        with tools.one_builder(repository):
            if not is_built(repository):
                _provide(repository, fingerprint(repository))
    return _folder(repository)


def is_built(repository: Repository) -> bool:
    """Whether the schemas are there, as their pins are now."""
    stamp = _folder(repository) / _STAMP
    return stamp.exists() and stamp.read_text() == fingerprint(repository)


def fingerprint(repository: Repository) -> str:
    """Changes with the pins, and with how schemas are made from them."""
    pins = yamlfile.read_text(repository.root / PINS)
    maker = Path(strict.__file__).read_text() + Path(__file__).read_text()
    return hashlib.sha256((pins + maker).encode()).hexdigest()[:16]


def _folder(repository: Repository) -> Path:
    return repository.build / "tools" / "schemas"


def _provide(repository: Repository, pin: str) -> None:
    folder = _folder(repository)
    if not user_cache.restore(f"schemas-{pin}", folder):
        with console.step("making the schemas") as update:
            _make(repository, folder, update)
        user_cache.keep(folder, f"schemas-{pin}")
    files.write(folder / _STAMP, pin)


def _make(repository: Repository, folder: Path, update: console.Update) -> None:
    (pins,) = yamlfile.parse(yamlfile.read_text(repository.root / PINS), PINS)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        metadata: strict.Schema = {}
        for pin in items(pins.value, "modules"):
            update(text(pin, "module"))
            module = _fetch(repository, pin)
            if text(pin, "swagger"):
                swagger = json.loads((module / text(pin, "swagger")).read_bytes())
                metadata = strict.object_metadata(swagger)
                schemas = list(strict.from_swagger(swagger))
            else:
                paths = sorted(module.glob(text(pin, "crds")))
                schemas = [schema for path in paths for schema in _of_crds(path, metadata)]
                _copy_definitions(paths, Path(scratch, CRDS, module.name))
            if not schemas:
                raise InputError(f"{text(pin, 'module')} holds no schema", at=PINS)
            for name, schema in schemas:
                Path(scratch, name).write_text(json.dumps(schema))
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(scratch, folder)


def _copy_definitions(paths: list[Path], folder: Path) -> None:
    """The definitions themselves: a local API server is given them."""
    folder.mkdir(parents=True, exist_ok=True)  # two pins may be of one module
    for path in paths:
        shutil.copyfile(path, folder / path.name)


def _of_crds(path: Path, metadata: strict.Schema) -> list[tuple[str, strict.Schema]]:
    documents = yaml.load_all(path.read_text(), Loader=ManifestLoader)
    return [
        schema
        for crd in documents
        if isinstance(crd, dict) and crd.get("kind") == "CustomResourceDefinition"
        for schema in strict.from_crd(crd, metadata)
    ]


def _fetch(repository: Repository, pin: object) -> Path:
    """The module's files in Go's cache.

    Raises:
        HarnessError: it cannot be downloaded.
        InputError: it is not the pinned one.
    """
    program, env = tools.go(repository)
    name = f"{text(pin, 'module')}@{text(pin, 'version')}"
    with tempfile.TemporaryDirectory() as nowhere:  # outside of every module: nothing is resolved
        try:
            output = command.run(
                [program, "mod", "download", "-json", name], cwd=Path(nowhere), env=env, timeout=600
            ).stdout
        except command.CommandError as error:
            raise HarnessError(
                f"{name} could not be fetched\n{error.message}",
                at=PINS,
                hint="let this machine reach a Go module proxy (GOPROXY)",
            ) from error
    module = json.loads(output)
    if dig(module, "Sum") != text(pin, "sum"):
        raise InputError(
            f"{name} has the hash {dig(module, 'Sum')}, not {text(pin, 'sum')}", at=PINS
        )
    return Path(text(module, "Dir"))
