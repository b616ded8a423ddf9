"""What to do about a failure, where its kind is known by the server's or the client's own words."""

import re

# Words of the kind or the example, and what they mean. TorchServe's are of 0.12.
_KNOWN = (
    (
        r"has no worker to serve",
        (
            "the model's queue is full; its workers are there. Raise jobQueueSize in serving.yaml "
            "to let more wait, add workers or replicas, or send less"
        ),
    ),
    (
        r"Worker died",
        (
            "a worker crashed or needed longer than responseTimeout; the log says which: `Backend "
            "worker did not respond in given time` is the timeout. Raise responseTimeout, or see "
            "the handler's traceback"
        ),
    ),
    (
        r"number of batch response mismatched",
        "the handler returned another number of answers than it was given requests",
    ),
    (
        r"HTTP 413",
        "the body is larger than max_request_size of serving.yaml, or than the gateway takes",
    ),
    (r"HTTP 507", "the GPU is out of memory: lower batchSize, or the workers of a GPU"),
    (r"ModelNotFound|ModelVersionNotFound", "no model of this name and version is served there"),
    (
        r"InvalidKeyException",
        (
            "TorchServe asks for its own token: set disable_token_authorization=true, or give the "
            "profile `auth`"
        ),
    ),
    (r"HTTP 40[13]", "the gateway takes no request without a token: give the profile `auth`"),
    (r"HTTP 429", "a limit of requests is reached in front of the server"),
    (
        r"CERTIFICATE_VERIFY_FAILED",
        (
            "the certificate is of an authority that this machine does not know: name it as caFile "
            "in the profile, or set insecure: true"
        ),
    ),
    (
        r"UNIMPLEMENTED",
        "the server has no such gRPC service: is this its gRPC port, and TorchServe?",
    ),
    (r"connection refused", "nothing listens there: is the server running, and the port right?"),
    (r"^timeout", "no answer came within the profile's `timeout`"),
)


def advice(kind: str, example: str) -> str:
    """What to do about failures of a kind, of which this is an example; empty if not known."""
    words = f"{kind} {example}"
    return next((known for pattern, known in _KNOWN if re.search(pattern, words)), "")
