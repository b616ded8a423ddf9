"""TorchServe's gRPC inference API, ``org.pytorch.serve.grpc.inference.InferenceAPIsService``.

The wheel ships no stubs, and two messages are all that a prediction needs, so they are described
here field by field, as TorchServe's inference.proto does.
"""

from typing import Any
from urllib.parse import urlsplit

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc.experimental import gevent as grpc_gevent

from harness.loadtest.generator.checker import NoResponse, Response
from harness.loadtest.plan import Plan, Request

PACKAGE = "org.pytorch.serve.grpc.inference"
METHOD = f"/{PACKAGE}.InferenceAPIsService/Predictions"

_Field = descriptor_pb2.FieldDescriptorProto


def messages() -> tuple[Any, Any]:
    """The classes PredictionsRequest and PredictionResponse."""
    file = descriptor_pb2.FileDescriptorProto(
        name="harness/inference.proto", package=PACKAGE, syntax="proto3"
    )
    request = file.message_type.add(name="PredictionsRequest")
    text = {"type": _Field.TYPE_STRING, "label": _Field.LABEL_OPTIONAL}
    data = {"type": _Field.TYPE_BYTES, "label": _Field.LABEL_OPTIONAL}
    request.field.add(name="model_name", number=1, **text)
    request.field.add(name="model_version", number=2, **text)
    request.field.add(
        name="input",
        number=3,
        type=_Field.TYPE_MESSAGE,
        label=_Field.LABEL_REPEATED,
        type_name=f".{PACKAGE}.PredictionsRequest.InputEntry",
    )
    entry = request.nested_type.add(name="InputEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, **text)
    entry.field.add(name="value", number=2, **data)
    response = file.message_type.add(name="PredictionResponse")
    response.field.add(name="prediction", number=1, **data)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    names = (f"{PACKAGE}.PredictionsRequest", f"{PACKAGE}.PredictionResponse")
    first, second = (
        message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in names
    )
    return first, second


class Rpc:
    """One channel for each host; gRPC itself multiplexes what is in flight over it."""

    def __init__(self, plan: Plan, secret: str | None) -> None:
        grpc_gevent.init_gevent()
        self._request, self._response = messages()
        self._timeout = plan.timeout
        self._metadata = (
            ((plan.auth.header.lower(), f"{plan.auth.prefix}{secret}"),) if plan.auth else ()
        )
        self._host = plan.host
        hosts = {plan.host, *(request.host for request in plan.requests if request.host)}
        self._calls = {
            host: _channel(plan.url, host).unary_unary(
                METHOD, request_serializer=None, response_deserializer=self._response.FromString
            )
            for host in hosts
        }

    def prepare(self, request: Request) -> tuple[str, bytes]:
        """The host that it goes to, and the serialized request."""
        message = self._request(model_name=request.model, input={"data": request.body})
        return request.host or self._host, bytes(message.SerializeToString())

    def send(self, prepared: tuple[str, bytes]) -> Response:
        """Send a request and read its response.

        Raises:
            NoResponse: the call ended with any status but OK.
        """
        host, message = prepared
        call = self._calls[host]
        try:
            response = call(message, timeout=self._timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise NoResponse(f"gRPC {error.code().name}", str(error.details())) from error
        return Response(200, response.prediction)


def _channel(target: str, host: str) -> grpc.Channel:
    """A channel to a URL, whose requests carry a host of their own."""
    url = urlsplit(target)
    options = [("grpc.default_authority", host), ("grpc.max_receive_message_length", -1)]
    if url.scheme == "https":
        credentials = grpc.ssl_channel_credentials()
        return grpc.secure_channel(url.netloc, credentials, options=options)
    return grpc.insecure_channel(url.netloc, options=options)
