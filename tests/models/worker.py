"""A TorchServe worker without its server: loads an unpacked archive, answers one batch of files.

    python -m tests.models.worker FOLDER FILE...

Prints a JSON list with [status, answer] for each file. TorchServe's own loader, service and
context do the work, so what holds here holds in the server.
"""

import json
import os
import sys
from pathlib import Path

from ts.model_loader import ModelLoaderFactory
from ts.service import Service


def main(folder: Path, bodies: list[bytes]) -> None:
    manifest = json.loads((folder / "MAR-INF/MANIFEST.json").read_bytes())["model"]
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    service = ModelLoaderFactory.get_model_loader().load(
        manifest["modelName"], str(folder), manifest["handler"], batch_size=len(bodies)
    )
    batch = [
        {
            "requestId": str(index).encode(),
            "parameters": [{"name": "body", "value": bytearray(body), "contentType": ""}],
        }
        for index, body in enumerate(bodies)
    ]
    context = service.context
    context.request_processor, inputs, context.request_ids = Service.retrieve_data_for_inference(
        batch
    )
    answers = service._entry_point(inputs, context)
    json.dump([[context.get_response_status(i)[0], a] for i, a in enumerate(answers)], sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), [Path(name).resolve().read_bytes() for name in sys.argv[2:]])
