"""What is known of each group's models: the samples of `harness models build`, in one file.

    known.write(path, {env: known.collect(repository, env) for env in repository.environments})
    known.read(path, "production")["vision"]["magika"]

The file goes into the image of gate and shadow, so that neither needs the working tree.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.core import files
from harness.core.errors import InputError, UsageError
from harness.core.repository import Repository
from harness.models import samples
from harness.models.answer import Expected
from harness.models.lock import load_lock
from harness.models.samples import PreparedSample
from harness.snapshot import config

Models = Mapping[str, Sequence[PreparedSample]]
"""The samples of each model of a group; none of one whose correct answers nobody knows."""

Groups = Mapping[str, Models]


def collect(repository: Repository, env: str) -> Groups:
    """The models of an environment's groups, with the samples that were built.

    Raises:
        HarnessError: the models are not built.
    """
    lock = repository.built_models / "lock.yaml"
    prepared = samples.load_samples(repository, load_lock(lock))
    return {
        group: {
            name: prepared.get(name, ())
            for name in config.load(repository, env, lock, group).routed
        }
        for group in repository.groups(env)
    }


def write(path: Path, environments: Mapping[str, Groups]) -> None:
    """Write what is known of these environments."""
    plain = {
        env: {
            group: {name: [_plain(each) for each in known] for name, known in models.items()}
            for group, models in groups.items()
        }
        for env, groups in environments.items()
    }
    files.write(path, json.dumps(plain, allow_nan=False))


def read(path: Path, env: str) -> Groups:
    """Read what a file says of an environment.

    Raises:
        InputError: it is not such a file.
        UsageError: it says nothing of the environment.
    """
    try:
        environments = json.loads(path.read_bytes())
        if env not in environments:
            raise UsageError(f"{path} knows {', '.join(environments)}, and no {env}")
        return {
            group: {name: tuple(map(_sample, known)) for name, known in models.items()}
            for group, models in environments[env].items()
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"no samples of models: {error}", at=path, hint="`harness canary samples` writes them"
        ) from error


def _plain(sample: PreparedSample) -> dict[str, object]:
    return {
        "model": sample.model,
        "version": sample.version,
        "name": sample.name,
        "contentType": sample.content_type,
        "body": base64.b64encode(sample.body).decode(),
        "expected": sample.expected.model_dump(mode="json"),
    }


def _sample(plain: Mapping[str, str]) -> PreparedSample:
    return PreparedSample(
        model=plain["model"],
        version=plain["version"],
        name=plain["name"],
        content_type=plain["contentType"],
        body=base64.b64decode(plain["body"]),
        expected=Expected.model_validate_json(json.dumps(plain["expected"])),
    )
