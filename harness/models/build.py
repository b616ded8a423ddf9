"""From the catalog to build/models: archives, lock, and what each sample must be answered.

build/models/lock.yaml                       what was built
build/models/model-store/*.mar               the archives, named by content
build/models/samples/<name>/<version>/       prepared requests with their correct answers
build/models/<name>[@<version>].json         the inputs of the last build, and its lock entry
build/models/weights/                        what was downloaded
"""

import contextlib
import fcntl
import hashlib
import json
import multiprocessing
import shutil
import signal
import tempfile
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from urllib.parse import quote

from pydantic import ValidationError

from harness import image_sets, set_environment
from harness.core import console, files
from harness.core.document import Strict
from harness.core.errors import HarnessError
from harness.core.repository import Repository
from harness.models import adopted, archive, artifact, reference, remote, samples, source
from harness.models.catalog import RECORDED, Model, load_catalog
from harness.models.lock import Lock, LockedModel, load_lock, mar_name, write_lock

# What decides the bytes of an archive or an answer, besides the model's own files.
_PACKAGES = ("numpy", "pillow", "torch", "torch-model-archiver", "torchvision")


class Record(Strict):
    """The last build of a model: the digest of its inputs, and what came out."""

    inputs: str
    built: LockedModel
    note: str


def build(repository: Repository, *, rebuild: bool = False) -> Lock:
    """Build every model whose inputs changed; ``rebuild`` builds them all.

    A model whose weights could not be downloaded counts as built; ``rebuild`` asks for them again.
    An adopted archive that lies only in its old store is left out.

    Returns:
        The lock of what was built, as in ``build/models/lock.yaml``.

    Raises:
        InputError: a model.yaml, or what it names, is not as it must be.
        HarnessError: something is missing on this machine, or build/ cannot be written.
    """
    catalog = load_catalog(repository.models)
    committed = load_lock(repository.lock) if repository.lock.is_file() else Lock()
    models: dict[str, LockedModel] = {}
    with _exclusive(repository.built_models), contextlib.ExitStack() as stack:
        builder = _Builder(repository, stack, rebuild=rebuild)
        for name, model in catalog.models.items():
            if newest := builder.build(model):
                others = [builder.build(each, older=True) for each in model.older()]
                others += [
                    _stored_version(repository, committed, model, each) for each in model.versions
                ]
                beside = {each.version: each for each in others if each}
                ordered = tuple(beside[each] for each in model.versions if each in beside)
                models[name] = newest.model_copy(update={"others": ordered})
        lock = Lock(models=models)
        write_lock(repository.built_models / "lock.yaml", lock)
        _prune(repository, lock)
    return lock


class _Builder:
    """Builds what has changed, in one process that starts when it is needed."""

    def __init__(
        self, repository: Repository, stack: contextlib.ExitStack, *, rebuild: bool
    ) -> None:
        self._repository, self._stack, self._rebuild = repository, stack, rebuild
        self._worker: ProcessPoolExecutor | None = None

    def build(self, model: Model, *, older: bool = False) -> LockedModel | None:
        """The archive of a model, or None if it lies somewhere else."""
        folder = self._repository.models / model.name
        if _is_elsewhere(model, folder):
            archived = f"{model.name} {model.version}: its archive"
            console.note(f"! {archived} is not in models/{model.name}: left alone")
            if not older:
                _prepare_samples(self._repository, model)
            return None
        self._set_up(model)
        pinned = pinned_sources(model, folder)
        if model.license and "unknown" in (each.lower() for each in model.license.names):
            console.note(f"! {model.name}: its license is unknown: ask before you serve it")
        for text in pinned:
            _note_license(model, text, remote.pin(text, folder).license)
        inputs = digest(model, folder)
        path = _record_path(self._repository, model, older=older)
        record = None if self._rebuild else _current_record(self._repository, path, inputs)
        if record is None:
            for text in pinned:
                remote.provide(text, folder)
            self._worker = self._worker or self._stack.enter_context(_worker())
            record = _build_in(self._worker, self._repository, model, inputs, older=older)
            files.write(path, record.model_dump_json(indent=2))
        if record.note:
            console.note(f"! {model.name} {record.built.version}: {record.note}")
        return record.built

    def _set_up(self, model: Model) -> None:
        """Make the environment of the model's image set, where the build needs what is in it."""
        if model.reference or any(map(source.package_of, sources(model))):
            [image_set, *_] = image_sets.of_model(self._repository.root, model.name)
            set_environment.python(self._repository, image_set)


def _record_path(repository: Repository, model: Model, *, older: bool) -> Path:
    of_version = f"@{quote(model.version, safe='')}" if older else ""
    return repository.built_models / f"{model.name}{of_version}.json"


def _stored_version(
    repository: Repository, committed: Lock, model: Model, version: str
) -> LockedModel | None:
    """The archive of another version that an earlier build left here, as the lock has it."""
    if model.versions[version].archive:
        return None
    locked = committed.archive(model.name, version)
    path = store(repository) / locked.mar if locked else None
    if locked and path and path.is_file() and path.stat().st_size == locked.size:
        return locked
    console.note(
        f"! {model.name} {version}: its archive is not here: `harness models pull --env …` "
        "fetches it"
    )
    return None


def digest(model: Model, folder: Path) -> str:
    """SHA-256 over everything that decides what comes out of a build."""
    settings = (path for path in (folder / "model.yaml", folder / RECORDED) if path.is_file())
    parts = {path.name: files.sha256(path) for path in settings}
    parts |= {name: source.digest(name, folder) for name in sources(model)}
    parts |= {name: source.version(name) for name in _PACKAGES}
    root = folder.parent.parent
    for each in image_sets.of_model(root, model.name):
        if not each.is_default:  # of the default's packages, those above decide
            parts[str(each.lock)] = files.sha256(root / each.lock)
    if (archived := model.artifact.adopted) and not archived.is_remote:  # else a source, above
        parts[archived.archive] = adopted.digest(folder / archived.archive)
    ours = Path(__file__).parent.glob("*.py")
    parts |= {f"harness.models.{path.stem}": files.sha256(path) for path in ours}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def sources(model: Model) -> list[str]:
    """Every source that decides the archive or an answer."""
    return [*artifact.sources(model), *reference.sources(model)]


def pinned_sources(model: Model, folder: Path) -> list[str]:
    """Those that neither Git nor a package pins; ``folder`` is the model's own."""
    return [text for text in sources(model) if source.is_pinned(text, folder)]


def make(repository: Repository, model: Model, inputs: str = "", *, older: bool = False) -> Record:
    """Build one model in this process: its archive into the store, its samples next to it.

    Of an ``older`` version nobody may know the answers: then it has no samples.
    """
    note = ""
    folder = repository.models / model.name
    with _staging(repository.built_models) as staging:
        packed = staging / "packed"
        downloads = repository.built_models / "weights"
        file_name: str | None = None
        if archived := model.artifact.adopted:
            version = model.version
            name, theirs = adopted.locate(model, archived, folder)
            with files.replacing(packed) as target:
                file_name = adopted.store(model, name, theirs, staging / "theirs", target)
        else:
            contents = artifact.stage(model, folder, staging, downloads)
            version, note = contents.version, contents.note
            with files.replacing(packed) as target:
                archive.pack(contents, target)
        sha256, size = files.sha256(packed), packed.stat().st_size
        name = file_name or mar_name(model.name, version, sha256)
        try:
            prepared = reference.prepare(model, folder, version, packed, staging / "unpacked")
        except HarnessError as error:
            if not older:
                raise
            prepared, note = [], f"its correct answers are not known: {error}"
        samples.write_samples(samples.folder(repository, model.name, version), prepared)
        store(repository).mkdir(exist_ok=True)
        packed.replace(store(repository) / name)
    built = LockedModel(version=version, mar=name, sha256=sha256, size=size)
    return Record(inputs=inputs, built=built, note=note)


def _prepare_samples(repository: Repository, model: Model) -> None:
    """The samples of an archive that does not lie here: what is written or recorded of them."""
    folder = repository.models / model.name
    prepared = reference.prepare(model, folder, model.version, None, repository.built_models)
    samples.write_samples(samples.folder(repository, model.name, model.version), prepared)


def store(repository: Repository) -> Path:
    """The folder with the archives that were built."""
    return repository.built_models / "model-store"


def _is_elsewhere(model: Model, folder: Path) -> bool:
    """Whether the model is an adopted archive that only its old store has."""
    archived = model.artifact.adopted
    if archived is None or archived.is_remote:
        return False
    return not (folder / archived.archive).exists()


def _note_license(model: Model, text: str, license_name: str) -> None:
    """Say so where a hub and model.yaml name two licenses, or the hub none."""
    named = model.license.weights if model.license else ""
    if license_name and license_name.casefold() != named.casefold():
        console.note(f"! {model.name}: {text} is under {license_name}, model.yaml says {named!r}")
    elif not license_name and text.startswith("hf://"):
        console.note(f"! {model.name}: {text} names no license: ask its authors")


@contextlib.contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Wait for another build in this clone to end, and remove what a killed one left behind."""
    with _writable(folder):
        file = (folder / ".lock").open("w")
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for leftover in folder.glob(".staging-*"):
            shutil.rmtree(leftover)
        yield


@contextlib.contextmanager
def _staging(parent: Path) -> Iterator[Path]:
    """A folder next to what is built, so that one disk decides whether there is room."""
    with (
        _writable(parent),
        tempfile.TemporaryDirectory(prefix=".staging-", dir=parent) as folder,
    ):
        yield Path(folder)


@contextlib.contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        hint = "make the folder writable or free some disk space, then run the command again"
        message = f"cannot write: {error.strerror or error}"
        raise HarnessError(message, at=folder, hint=hint) from error


def _worker() -> ProcessPoolExecutor:
    """One process for all models: what torch takes of memory goes back when it ends."""
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, spawn, initializer=_be_quiet)


def _be_quiet() -> None:
    warnings.simplefilter("ignore")  # what torch says about itself is not about the model
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C, and ends this process


def _build_in(
    worker: ProcessPoolExecutor, repository: Repository, model: Model, inputs: str, *, older: bool
) -> Record:
    with console.step(f"build {model.name}") as update:
        update("packing it, and asking it for the correct answers")
        try:
            return worker.submit(make, repository, model, inputs, older=older).result()
        except BrokenProcessPool as error:
            hint = "is there enough memory? torch takes about 1 GB"
            raise HarnessError(f"{model.name}: the build was killed", hint=hint) from error


def _current_record(repository: Repository, path: Path, inputs: str) -> Record | None:
    """The last build, if its inputs are these and its files are still what they were."""
    try:
        record = Record.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    if record.inputs != inputs:
        return None
    mar = store(repository) / record.built.mar
    if not mar.is_file() or files.sha256(mar) != record.built.sha256:
        console.note(f"! {mar.name} is not what was built: built again")
        return None
    return record


def _prune(repository: Repository, lock: Lock) -> None:
    """Remove archives that belong to no model anymore."""
    current = {locked.mar for _, locked in lock.archives()}
    for path in store(repository).glob("*.mar"):
        if path.name not in current:
            path.unlink()
