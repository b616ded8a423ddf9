"""Starts TorchServe and answers for it: PID 1 of the container, and of ``harness serve``.

    python -m launcher --config config.properties --files model-files.json --work /run/torchserve

TorchServe cannot say when it is ready, retries for ever a worker that cannot load, drops what is
in flight on SIGTERM, and leaves its workers behind when it is killed. The launcher

* verifies every model archive before the JVM starts (``store``),
* starts the JVM with all its files in one work folder, and takes it along when it dies (``jvm``),
* reads TorchServe's log for what no API tells (``worker_log``) and asks the rest (``torchserve``),
* answers ``/startup``, ``/ready``, ``/live`` and ``/metrics`` (``health``, ``endpoints``),
* ends a start that cannot succeed, drains before a stop (``supervisor``).

Standard library and relative imports only: the image holds this folder and nothing else of ours.

Exit codes: TorchServe's own after a stop that was asked for (143) · 1 a model archive, the
configuration or a model's code is bad · 3 anything else, such as a JVM that was killed.
"""
