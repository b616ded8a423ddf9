"""The forms of public repositories' files, and odd ones."""

import json
from collections.abc import Iterator

from tests.importing.archives import Made
from tests.importing.forms import (
    EVERYWHERE,
    LOCAL,
    MNIST,
    SQUEEZE,
    THREADS,
    TWO,
    Form,
    entry,
    fold,
    snapshot,
    upstream,
)


def models_() -> Iterator[Form]:
    """How models are named, and how their JSON is written."""
    ocr, qa = Made("ocr.mar", "ocr", "0.1.0"), Made("qa.mar", "qa", "0.1.0")
    models = {
        name: {"0.1.0": entry(f"{name}.mar", maxWorkers=2, batchSize=8, responseTimeout=1000)}
        for name in ("qa", "ocr")
    }
    lists = f"{EVERYWHERE}\nload_models=ocr.mar,qa.mar\nmodel_store=STORE\n"
    yield Form("models-folded", f"{lists}models={fold(models)}\n", (ocr, qa))
    yield Form("models-on-one-line", f"{lists}models={json.dumps(models)}\n", (ocr, qa))
    yield Form(
        "models-without-backslashes", f"{lists}models={json.dumps(models, indent=2)}\n", (ocr, qa)
    )
    yield Form(
        "models-other-version",
        lists + "models=" + json.dumps({"qa": {"9": entry("qa.mar")}}),
        (qa, ocr),
    )
    yield Form(
        "models-zero",
        lists
        + "models="
        + json.dumps({"qa": {"0.1.0": entry("qa.mar", minWorkers=0, maxBatchDelay=0)}}),
        (qa, ocr),
    )
    yield Form("models-a-list", f"{lists}models=[]\n", (ocr, qa))
    yield Form("all-upper", f"{LOCAL}\nload_models=ALL\nmodel_store=STORE\n", (MNIST, SQUEEZE))
    yield Form("all-empty-store", f"{LOCAL}\nload_models=all\nmodel_store=STORE\n")
    yield Form(
        "named",
        "load_models=digits=mnist.mar,squeezenet1_1.mar\nmodel_store=STORE\n",
        (MNIST, SQUEEZE),
    )
    yield Form(
        "named-with-gap",
        "load_models=mnist.mar, squeezenet1_1.mar\nmodel_store=STORE\n",
        (MNIST, SQUEEZE),
    )
    yield Form("named-missing", "load_models=none.mar\nmodel_store=STORE\n", (MNIST,))
    yield Form("load-nothing", "load_models=\nmodel_store=STORE\n", (MNIST,))
    value = fold(json.loads(snapshot(TWO)))
    crlf = f"{LOCAL}\n{THREADS}\nmodel_store=STORE\nmodel_snapshot={value}\n"
    yield Form("windows-line-ends", crlf.replace("\n", "\r\n"), (MNIST, SQUEEZE))
    yield Form("old-mac-line-ends", crlf.replace("\n", "\r"), (MNIST, SQUEEZE))
    yield Form("byte-order-mark", f"\ufeffjob_queue_size=5\n{LOCAL}\n", encoding="utf-8")
    yield Form("byte-order-mark-comment", f"\ufeff# ours\n{LOCAL}\n", encoding="utf-8")
    yield Form(
        "separators",
        f"job_queue_size : 50\nnumber_of_netty_threads\t8\nnumber_of_gpu = 0\n{LOCAL}\n",
    )
    yield Form("twice", f"job_queue_size=1\njob_queue_size=2\n{LOCAL}\n")
    yield Form("unicode-escapes", "job_queue_size=\\u0035\\u0030\nnetty_client_threads=\\\n    2\n")
    yield Form("malformed-escape", f"{LOCAL}\nplugins=C:\\users\\ts\n")
    yield Form("windows-path", "workflow_store=C:\\Flows\\1\n")
    yield Form(
        "comment-behind-number",
        f"{LOCAL}\njob_queue_size=100 # requests\nload_models=mnist.mar\nmodel_store=STORE\n",
        (MNIST,),
    )
    yield Form("comment-behind-number-unread", f"{LOCAL}\njob_queue_size=100 # requests\n")
    yield Form("comment-behind-threads", "number_of_netty_threads=32  # per node\n")
    yield Form("comment-behind-boolean", "prefer_direct_buffer=true # faster\n")
    yield Form("comment-behind-address", "inference_address=http://127.0.0.1:8080 # REST\n")
    yield Form("blank-behind-number", "number_of_gpu=0 \n")
    yield Form(
        "json-without-backslashes",
        f"{LOCAL}\nmodel_snapshot={json.dumps(json.loads(snapshot(TWO)), indent=2)}\n"
        "prefer_direct_buffer=true\n",
        (MNIST, SQUEEZE),
    )
    yield Form("json-with-comma", f"model_snapshot={snapshot(TWO)[:-2]},}}}}\n", (MNIST, SQUEEZE))
    yield Form(
        "json-single-quotes",
        "model_snapshot={'name':'s','modelCount':1,'models':{'mnist':{'1.0':{'defaultVersion':true,'marName':'mnist.mar','minWorkers':1,'maxWorkers':1,'batchSize':1,'maxBatchDelay':1}}}}\n",
        (MNIST,),
    )
    yield Form("json-empty", "model_snapshot=\n")
    for missing in ("minWorkers", "maxBatchDelay", "marName", "responseTimeout"):
        cut = {key: value for key, value in entry("mnist.mar").items() if key != missing}
        yield Form(
            f"snapshot-without-{missing}",
            f"model_snapshot={snapshot({'mnist': {'1.0': cut}})}\nmodel_store=STORE\n",
            (MNIST,),
        )
    for name, odd in {
        "zeros": {"minWorkers": 0, "maxWorkers": 0, "maxBatchDelay": 0},
        "text-numbers": {"minWorkers": "1", "batchSize": "4"},
        "unknown-keys": {"handler": "h.py", "extra-files": "x.json"},
        "runtime-lsp": {"runtimeType": "LSP"},
        "runtime-unknown": {"runtimeType": "ruby"},
        "more-than-maximum": {"minWorkers": 3, "maxWorkers": 2},
        "no-default": {"defaultVersion": False},
    }.items():
        yield Form(
            f"snapshot-{name}",
            f"model_snapshot={snapshot({'mnist': {'1.0': entry('mnist.mar', **odd)}})}\n",
            (MNIST,),
        )
    yield Form(
        "snapshot-other-name",
        f"model_snapshot={snapshot({'digits': {'1.0': entry('mnist.mar')}})}\n",
        (MNIST,),
    )
    yield Form(
        "snapshot-other-version",
        f"model_snapshot={snapshot({'mnist': {'7': entry('mnist.mar')}})}\n",
        (MNIST,),
    )
    yield Form(
        "snapshot-missing-archive",
        f"model_snapshot={snapshot({'mnist': {'1.0': entry('gone.mar')}})}\n",
        (MNIST,),
    )
    yield Form(
        "snapshot-count-zero", f"model_snapshot={snapshot(TWO, modelCount=0)}\n", (MNIST, SQUEEZE)
    )
    yield Form(
        "snapshot-count-wrong", f"model_snapshot={snapshot(TWO, modelCount=9)}\n", (MNIST, SQUEEZE)
    )
    twins = {"mnist": {"1.0": entry("mnist.mar"), "2.0": entry("again.mar", defaultVersion=False)}}
    yield Form(
        "snapshot-twins",
        f"model_snapshot={snapshot(twins)}\n",
        (MNIST, Made("again.mar", "mnist", "1.0")),
    )
    yield Form(
        "snapshot-dated-version",
        f"model_snapshot={snapshot({'ranker': {'2024-03-20-18:11': entry('r.mar')}})}\n",
        (Made("r.mar", "ranker", "2024-03-20-18:11"),),
    )
    yield Form(
        "snapshot-tgz",
        f"model_snapshot={snapshot({'llm': {'1.0': entry('llm.tar.gz')}})}\n",
        (Made("llm.tar.gz", "llm", "1.0"),),
    )
    yield Form(
        "snapshot-folder",
        f"model_snapshot={snapshot({'llm': {'1.0': entry('llm')}})}\n",
        (Made("llm", "llm", "1.0"),),
    )
    yield Form(
        "snapshot-sub-folder",
        f"model_snapshot={snapshot({'ner': {'1.0': entry('nlp/ner model.mar')}})}\n",
        (Made("nlp/ner model.mar", "ner", "1.0"),),
    )


def settings_() -> Iterator[Form]:
    """Settings of the server, right and wrong."""
    config = {
        "minWorkers": 2,
        "maxWorkers": 4,
        "batchSize": 8,
        "maxBatchDelay": 50,
        "responseTimeout": 33,
    }
    yield Form(
        "model-config",
        "load_models=all\ndefault_workers_per_model=1\n",
        (Made("a.mar", "a", "2.0", config),),
    )
    yield Form(
        "model-config-over-models",
        "load_models=a.mar\nmodels="
        + json.dumps({"a": {"2.0": entry("a.mar", batchSize=3, startupTimeout=7)}}),
        (Made("a.mar", "a", "2.0", config),),
    )
    yield Form(
        "model-config-minimum-only",
        "load_models=a.mar\ndefault_workers_per_model=1\n",
        (Made("a.mar", "a", "2.0", {"minWorkers": 3, "batchSize": "4"}),),
    )
    yield Form("limits", "max_request_size=500000000\nmax_response_size=2147483647\n")
    yield Form("limit-too-large", "max_request_size=5000000000\n")
    yield Form("limit-with-unit", "max_request_size=500MB\n")
    yield Form("response-limit-with-unit", "max_response_size=500MB\n")
    yield Form("size-underscores", "max_request_size=65_535_000\n")
    yield Form(
        "queue-zero",
        "job_queue_size=0\nload_models=mnist.mar\ndefault_workers_per_model=1\n",
        (MNIST,),
    )
    yield Form("negative-threads", "number_of_netty_threads=-1\n")
    yield Form("negative-gpus", "number_of_gpu=-1\ndefault_workers_per_model=1\n")
    yield Form("plus-sign", "job_queue_size=+7\nnumber_of_netty_threads=+2\n")
    yield Form("workers-as-text", "default_workers_per_model=auto\n")
    yield Form("timeout-as-text-unread", "default_response_timeout=120s\n")
    yield Form(
        "timeout-as-text", "default_response_timeout=120s\nload_models=mnist.mar\n", (MNIST,)
    )
    yield Form("unregister-as-text", "unregister_model_timeout=soon\n")
    yield Form(
        "grpc-age",
        "grpc_inference_max_connection_age_ms=300000\ngrpc_inference_max_connection_age_grace_ms=5000\n",
    )
    yield Form("grpc-age-zero", "grpc_inference_max_connection_age_ms=0\n")
    yield Form("grpc-address-with-scheme", "grpc_inference_address=http://0.0.0.0\n")
    yield Form("grpc-port-zero", "grpc_inference_port=70700\n")
    yield Form("address-with-slash", "inference_address=http://127.0.0.1:8080/\n")
    yield Form("address-without-scheme", "inference_address=0.0.0.0:8080\n")
    yield Form("address-without-port", "inference_address=http://127.0.0.1\n")
    yield Form("address-large-port", "inference_address=http://127.0.0.1:65535\n")
    yield Form("address-upper-case", "inference_address=HTTP://LOCALHOST:8080\n")
    yield Form("metrics-mode-unknown", "metrics_mode=graphite\n")
    yield Form("metrics-config-missing", "metrics_config=/nowhere/metrics.yaml\n")
    yield Form("metrics-interval-as-text", "metric_time_interval=1m\n")
    yield Form("blacklist", "blacklist_env_vars=AWS.*|HF_.*\n")
    yield Form("blacklist-wrong", "blacklist_env_vars=(AWS\n")
    yield Form(
        "cors",
        "cors_allowed_origin=*\ncors_allowed_methods=GET, POST, PUT, OPTIONS\n"
        "cors_allowed_headers=X-Custom\n",
    )
    yield Form("io-ratio", "io_ratio=50\nuse_native_io=false\nnetty_client_threads=4\n")
    yield Form("io-ratio-wrong", "io_ratio=0\n")
    yield Form("yes-no", "prefer_direct_buffer=yes\ninstall_py_dep_per_model=1\n")
    yield Form(
        "misspelt",
        "inference_addres=http://0.0.0.0:8080\nload-models=all\nmin_workers=1\nresponse_timeout=9\n",
    )
    yield Form("environment-unset", "model_store=$$NOT_THERE$$\n")
    yield Form(
        "keystore-missing",
        "inference_address=https://127.0.0.1:8443\nkeystore=/nowhere/keys.p12\nkeystore_pass=hunter2\n",
    )
    yield Form(
        "certificate-missing",
        "enable_grpc_ssl=true\nprivate_key_file=/nowhere/k\ncertificate_file=/nowhere/c\n",
    )
    yield Form(
        "sequences",
        "ts_header_key_sequence_id=x_id\nts_header_key_sequence_start=x_s\nts_open_inference_protocol=true\n",
    )
    yield Form("latin", "default_service_handler=caf\xe9.py\nworkflow_store=STORE\n")
    yield Form("https-without-certificate", "inference_address=https://127.0.0.1:8443\n")
    yield Form("empty", "")
    yield Form("comments-only", "# nothing\n! at all\n")


def every() -> list[Form]:
    """Every form, upstream's first."""
    return [*upstream(), *models_(), *settings_()]
