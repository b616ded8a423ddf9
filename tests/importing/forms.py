"""Configurations in the forms that people have: upstream's own, public repositories', and odd ones.

They are made here, piece by piece; the archives that they name are made by name. What the real
TorchServe 0.12 does with each stands in testdata/import/verdicts.json (``record.py``).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.importing.archives import Made

LOCAL = "\n".join(
    f"{name}_address=http://127.0.0.1:{port}"
    for name, port in (("inference", 8080), ("management", 8081), ("metrics", 8082))
)
EVERYWHERE = LOCAL.replace("127.0.0.1", "0.0.0.0")
THREADS = "number_of_netty_threads=32\njob_queue_size=1000"
STORES = "model_store=STORE\nworkflow_store=STORE"
HEAP = "vmargs=-Xmx4g -XX:+ExitOnOutOfMemoryError -XX:+HeapDumpOnOutOfMemoryError"


@dataclass(frozen=True)
class Form:
    """A config.properties; STORE in its text is the folder of its archives, HERE its own."""

    name: str
    text: str
    archives: tuple[Made, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    encoding: str = "latin-1"

    def write(self, folder: Path) -> Path:
        """Write the file and the archives below ``folder``."""
        store = folder / "store"
        store.mkdir(parents=True, exist_ok=True)
        for archive in self.archives:
            archive.write(store)
        (folder / "metrics.yaml").write_text(METRICS)
        if "certs.pem" in self.text:
            write_certificate(folder)
        path = folder / "config.properties"
        text = self.text.replace("STORE", str(store)).replace("HERE", str(folder))
        path.write_bytes(text.encode(self.encoding))
        return path


def write_certificate(folder: Path) -> None:
    """Write key.pem and certs.pem, of an RSA key, which is all that TorchServe takes."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
    certificate = builder.not_valid_after(datetime(2120, 1, 1, tzinfo=UTC)).sign(key, SHA256())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(pem)
    (folder / "certs.pem").write_bytes(certificate.public_bytes(Encoding.PEM))


METRICS = """\
dimensions:
  - &model_name "ModelName"
  - &level "Level"
ts_metrics:
  counter:
    - name: Requests2XX
      unit: Count
      dimensions: [*level]
model_metrics:
  gauge:
    - name: PredictionTime
      unit: ms
      dimensions: [*model_name, *level]
"""

ENTRY = {
    "defaultVersion": True,
    "minWorkers": 1,
    "maxWorkers": 1,
    "batchSize": 1,
    "maxBatchDelay": 100,
    "responseTimeout": 120,
}


def entry(mar: str, **settings: object) -> dict[str, object]:
    return {**ENTRY, "marName": mar, **settings}


def snapshot(models: Mapping[str, Mapping[str, object]], **rest: object) -> str:
    count = sum(len(versions) for versions in models.values())
    return json.dumps({"name": "startup.cfg", "modelCount": count, "models": models, **rest})


def fold(value: object, indent: int = 2) -> str:
    """JSON over several lines, each ended by a backslash, as people write it."""
    return json.dumps(value, indent=indent).replace("\n", "\\\n")


def dump(pairs: Mapping[str, str]) -> str:
    """As ``Properties.store`` of TorchServe's snapshots writes it."""
    lines = ["#Saving snapshot", "#Sat Mar 28 22:53:34 PDT 2020"]
    for key, value in pairs.items():
        escaped = value.replace("\\", "\\\\").replace("\n", "\\n")
        lines.append(f"{key}={escaped.replace(':', chr(92) + ':').replace('=', chr(92) + '=')}")
    return "\n".join(lines) + "\n"


MNIST, SQUEEZE = (
    Made("mnist.mar", "mnist", "1.0"),
    Made("squeezenet1_1.mar", "squeezenet1_1", "1.0"),
)
TWO = {
    "squeezenet1_1": {"1.0": entry("squeezenet1_1.mar", minWorkers=3, maxWorkers=3)},
    "mnist": {
        "1.0": entry("mnist.mar", minWorkers=2, maxWorkers=5, maxBatchDelay=200, responseTimeout=60)
    },
}


def upstream() -> Iterator[Form]:
    """The forms of the files that come with pytorch/serve."""
    yield Form(
        "benchmark",
        f"{LOCAL}\n{THREADS}\n{HEAP}\nprefer_direct_buffer=True\ndefault_response_timeout=300\n"
        "unregister_model_timeout=300\ninstall_py_dep_per_model=true\n",
    )
    yield Form("benchmark-envelope", f"{EVERYWHERE}\nservice_envelope=kserve\n{THREADS}\n")
    yield Form("addresses-only", f"{LOCAL}\n")
    yield Form("one-timeout", "default_response_timeout=300000\n")
    grpc = "grpc_inference_address=0.0.0.0\ngrpc_management_address=0.0.0.0"
    yield Form("image", f"{EVERYWHERE}\n{grpc}\n{THREADS}\n{STORES}\n")
    yield Form(
        "chat-app",
        "metrics_mode=prometheus\nmodel_metrics_auto_detect=true\n"
        f"{EVERYWHERE}\n{THREADS}\n{STORES}\nmax_response_size=655350000\n",
    )
    yield Form(
        "timeouts-and-packages",
        "default_response_timeout=300\nunregister_model_timeout=300\ninstall_py_dep_per_model=true\n",
    )
    text = Made("text.mar", "my_tc", "1.0")
    yield Form(
        "all-and-models",
        "load_models=all\nmodels="
        + fold({"my_tc": {"1.0": entry("text.mar", minWorkers=2, maxWorkers=3, batchSize=2000)}})
        + "\n",
        (text,),
    )
    yield Form(
        "custom-metrics",
        "metrics_mode=prometheus\nmetrics_config=HERE/metrics.yaml\nmodel_metrics_auto_detect=true\n"
        "models="
        + fold({"mnist": {"1.0": {"defaultVersion": True, "marName": "mnist.mar"}}})
        + "\n",
        (MNIST,),
    )
    yield Form(
        "diffusers",
        f"{LOCAL}\nenable_envvars_config=true\ninstall_py_dep_per_model=true\nload_models=all\n"
        "max_response_size=655350000\nmodel_store=STORE\n",
        (Made("diffusion.mar", "diffusion", "1.0", {"minWorkers": 1, "maxWorkers": 2}),),
    )
    yield Form("variables-only", "enable_envvars_config=true\n")
    yield Form(
        "variables-win",
        "enable_envvars_config=true\njob_queue_size=10\n",
        (MNIST,),
        {
            "TS_LOAD_MODELS": "mnist.mar",
            "TS_JOB_QUEUE_SIZE": "77",
            "TS_DEFAULT_WORKERS_PER_MODEL": "2",
        },
    )
    yield Form(
        "accelerate",
        f"{LOCAL}\nenable_envvars_config=true\nnumber_of_gpu=1\nload_models=all\n"
        "max_response_size=655350000\ndefault_response_timeout=6000\nmodel_store=STORE\n"
        "default_workers_per_model=1\n",
        (Made("bloom.tar.gz", "bloom", "1.0"),),
    )
    yield Form(
        "ipex", "ipex_enable=true\ncpu_launcher_enable=true\ncpu_launcher_args=--node_id 0\n"
    )
    yield Form(
        "ipex-blanks", f"{EVERYWHERE}\n{THREADS}\nipex_enable=true \ncpu_launcher_enable=true \n"
    )
    yield Form(
        "grpc-ports-as-addresses",
        f"{LOCAL}\ngrpc_inference_port=http://127.0.0.1:7070\n"
        f"grpc_management_port=http://127.0.0.1:7071\n{THREADS}\n",
    )
    secure = EVERYWHERE.replace("http:", "https:").replace("0.0.0.0", "127.0.0.1")
    noop = Made("noop.mar", "noop", "1.11")
    tests = (
        f"{secure}\nmodel_store=STORE\nload_models=noop.mar\nasync_logging=true\n"
        "default_response_timeout=120\nunregister_model_timeout=120\nmax_response_size=2047093252\n"
        "max_request_size=2047093252\nenable_envvars_config=true\nworkflow_store=STORE\n"
        "disable_token_authorization=true\nenable_model_api=true\ndefault_workers_per_model=1\n"
        "private_key_file=HERE/key.pem\ncertificate_file=HERE/certs.pem\n"
    )
    models = {"noop": {"1.11": entry("noop.mar", batchSize=4)}}
    yield Form("tests", f"{tests}models={fold(models)}\n", (noop,))
    yield Form("tests-without-models", tests, (noop,))
    socket = tests.replace(
        "management_address=https://127.0.0.1:8081", "management_address=unix:/tmp/m.sock"
    )
    socket = socket.replace("noop.mar", "noop-v0.1,noop-v1.0")
    folders = (Made("noop-v0.1", "noop-v0.1", "0.1"), Made("noop-v1.0", "noop-v1.0", "1.0"))
    yield Form("tests-socket-and-folders", f"{socket}models={fold(models)}\n", folders)
    settings = {
        "inference_address": "http://127.0.0.1:8080",
        "number_of_gpu": "0",
        "async_logging": "true",
    }
    settings |= {
        "load_models": "noop.mar",
        "default_workers_per_model": "4",
        "model_store": "STORE",
    }
    settings |= {"max_request_size": "2047093252", "tsConfigFile": "src/config.properties"}
    for number, (names, default) in enumerate(
        [(["noop"], "1.11"), ([], ""), (["noop_v1.0"], "1.11"), (["noop", "other"], "1.11")], 1
    ):
        written = {
            name: {default: entry("noop.mar", startupTimeout=120, runtimeType="python")}
            for name in names
        }
        value = json.dumps(json.loads(snapshot(written, created=1585457614832)), indent=2)
        yield Form(f"snapshot-{number}", dump({**settings, "model_snapshot": value}), (noop,))
    versions = {
        "noop": {
            "1.11": entry("noop.mar"),
            "1.2.1": entry("noop-1.2.1.mar", defaultVersion=False, minWorkers=2, maxWorkers=2),
        }
    }
    both = (noop, Made("noop-1.2.1.mar", "noop", "1.2.1"))
    value = json.dumps(json.loads(snapshot(versions)), indent=2)
    yield Form("snapshot-versions", dump({**settings, "model_snapshot": value}), both)
    cloud = (
        f"{EVERYWHERE}\nenable_metrics_api=true\nmetrics_mode=prometheus\nNUM_WORKERS=1\n"
        f"number_of_gpu=1\n{THREADS}\nmodel_store=STORE\nmodel_snapshot={snapshot(TWO)}\n"
    )
    yield Form("cloud", cloud, (MNIST, SQUEEZE))
    yield Form(
        "kserve",
        "inference_address=http://0.0.0.0:8085\nmanagement_address=http://0.0.0.0:8085\n"
        "metrics_address=http://0.0.0.0:8082\ngrpc_inference_port=7070\ngrpc_management_port=7071\n"
        "enable_envvars_config=true\ninstall_py_dep_per_model=true\nenable_metrics_api=true\n"
        "metrics_mode=prometheus\nNUM_WORKERS=1\nnumber_of_netty_threads=4\njob_queue_size=10\n"
        f"load_models=all\nmodel_store=STORE\nmodel_snapshot={snapshot({'mnist': TWO['mnist']})}\n",
        (MNIST,),
    )
    yield Form(
        "minikube",
        f"{EVERYWHERE}\n{THREADS}\n{STORES}\n"
        "system_metrics_cmd=ts/metrics/metric_collector.py --gpu 0\n",
    )
    yield Form("envelope-v2", f"{EVERYWHERE}\nservice_envelope=kservev2\n{THREADS}\n{STORES}\n")
    yield Form("model-api", f"{LOCAL}\nenable_model_api=true\nmodel_store=STORE\n")
    yield Form("token", f"{LOCAL}\ndisable_token_authorization=true\ntoken_expiration_min=4\n")
    yield Form("token-wrong", f"{LOCAL}\ntoken_expiration_min=soon\n")
    bind = "inference_address=http://0.0.0.0:$$BIND$$\nmanagement_address=http://0.0.0.0:$$BIND$$\n"
    sagemaker = (
        f"vmargs=-XX:-UseContainerSupport\nmodel_store=$$MODELS$$\n{bind}"
        "default_response_timeout=$$SECONDS$$\ndefault_workers_per_model=$$WORKERS$$\n"
        "default_service_handler=$$HANDLER$$\nasync_logging=true\ndecode_input_request=false\n"
        "load_models=mnist=mnist.mar\n"
    )
    variables = {
        "BIND": "8080",
        "MODELS": "/tmp",
        "SECONDS": "60",
        "WORKERS": "2",
        "HANDLER": "h.py",
    }
    yield Form("sagemaker", sagemaker, (MNIST,), variables)
    yield Form("sagemaker-without-variables", sagemaker, (MNIST,))
