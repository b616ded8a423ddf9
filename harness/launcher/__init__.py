"""Starts TorchServe and answers for it: PID 1 of the container, and of ``harness serve``.

TorchServe cannot say when it is ready, retries forever a worker that cannot load, drops what is
in flight on SIGTERM, and leaves its workers behind when it is killed. Standard library and
relative imports only: the image holds this folder and nothing else of ours.
"""


class Failure(Exception):  # noqa: N818 - it is one, and ends the launcher
    """TorchServe could not be started, or has ended by itself; the text is for a person."""

    exit_code = 3


class BadInput(Failure):
    """An archive, the configuration or a model's code is bad: another try cannot succeed."""

    exit_code = 1
