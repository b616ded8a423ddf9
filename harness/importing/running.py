"""A running TorchServe, asked over its management API; it is only read.

    TORCHSERVE_TOKEN=… harness import http://127.0.0.1:8081 --env staging

The management key of its key_file.json is taken from the variable ``TORCHSERVE_TOKEN``.
"""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote

from harness.core.errors import HarnessError, InputError, Location
from harness.importing.source import Remark, RunningModel, Source

TOKEN = "TORCHSERVE_TOKEN"  # noqa: S105 - a name
_SECONDS = 10.0
_PAGE = 100  # models that one answer lists


def read(url: str) -> Source:
    """Ask a server what it serves.

    Raises:
        HarnessError: it does not answer.
        InputError: it answers with an error.
    """
    url = url.rstrip("/")
    at = Location(Path(url))
    models = tuple(_models(url, at))
    why = (
        "a server tells nothing of its config.properties: limits, envelope, CORS, metrics and so "
        "on are unknown; add that file, or a logs/config/*-startup.cfg, as another source"
    )
    return Source(running=models, remarks=(Remark("config.properties", why, at, lost=True),))


def _models(url: str, at: Location) -> Iterator[RunningModel]:
    page = ""
    while True:
        listed = _get(f"{url}/models?limit={_PAGE}{page}")
        for each in listed.get("models", []):
            yield from _versions(url, str(each["modelName"]), at)
        token = listed.get("nextPageToken")
        if not token:
            return
        page = f"&next_page_token={token}"


def _versions(url: str, name: str, at: Location) -> Iterator[RunningModel]:
    path = f"{url}/models/{quote(name)}"
    default = _get(path)[0]["modelVersion"]
    for each in _get(f"{path}/all"):
        version = str(each["modelVersion"])
        entry = {
            "defaultVersion": version == default,
            "marName": str(each["modelUrl"]).rpartition("/")[2],
            **{key: each[key] for key in _COPIED if key in each},
        }
        yield RunningModel(name, version, entry, at)


_COPIED = (
    *("minWorkers", "maxWorkers", "batchSize", "maxBatchDelay"),
    *("responseTimeout", "startupTimeout"),
)


def _get(url: str) -> Any:
    token = os.environ.get(TOKEN)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http or https
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_SECONDS) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        hint = f"set {TOKEN} to the management key of its key_file.json"
        text = f"GET {url}: HTTP {error.code}"
        raise InputError(text, hint=hint if error.code == 400 else "") from error
    except (OSError, HTTPException, ValueError) as error:
        raise HarnessError(
            f"GET {url}: {error}", hint="is this the management address (port 8081 by default)?"
        ) from error
