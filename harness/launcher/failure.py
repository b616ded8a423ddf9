"""Why TorchServe is not running: errors whose text is for a person."""


class Failure(Exception):
    """TorchServe could not be started, or has ended by itself."""

    exit_code = 3


class BadInput(Failure):
    """An archive, the configuration or a model's code is bad: another try cannot succeed."""

    exit_code = 1
