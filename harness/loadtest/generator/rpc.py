"""TorchServe's gRPC inference API, ``org.pytorch.serve.grpc.inference.InferenceAPIsService``.

The wheel ships no stubs, and two messages are all that predictions need, so they are described
here field by field, as TorchServe's inference.proto does.
"""

from typing import Any
from urllib.parse import unquote, urlsplit

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc.experimental import gevent as grpc_gevent

from harness.loadtest.generator.checker import NoResponse, Response, now
from harness.loadtest.plan import Plan, Request
from harness.loadtest.raw_request import PREDICTIONS

Server = tuple[str, str]
"""An address, and the host that requests to it carry."""

Prepared = tuple[Server, bytes, tuple[tuple[str, str], ...], bool]
"""A server, a message, its metadata, and whether it is answered by a stream."""

_OF_HTTP = {"content-length", "content-type", "host", "te", "user-agent"}  # gRPC's own

PACKAGE = "org.pytorch.serve.grpc.inference"
METHOD = f"/{PACKAGE}.InferenceAPIsService/Predictions"
STREAM = f"/{PACKAGE}.InferenceAPIsService/StreamPredictions"

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
    """One channel for each server; gRPC itself multiplexes what is in flight over it."""

    def __init__(self, plan: Plan, secret: str | None) -> None:
        grpc_gevent.init_gevent()
        self._request, self._response = messages()
        self._timeout = plan.timeout
        self._metadata = (
            ((plan.auth.header.lower(), f"{plan.auth.prefix}{secret}"),) if plan.auth else ()
        )
        self._plan, self._traced = plan, plan.traced > 0
        servers = {_server(plan, request) for request in plan.requests}
        channels = {server: _channel(plan, *server) for server in servers}
        read = self._response.FromString
        self._unary = {
            server: channel.unary_unary(METHOD, None, read) for server, channel in channels.items()
        }
        self._stream = {
            server: channel.unary_stream(STREAM, None, read) for server, channel in channels.items()
        }

    def prepare(self, request: Request) -> Prepared:
        """The server, the serialized request, its metadata, and whether the answer is a stream."""
        named = PREDICTIONS.fullmatch(request.path[request.path.rindex("/predictions/") :])
        model, version = (unquote(part) if part else None for part in named.groups())  # type: ignore[union-attr]
        inputs = dict(request.fields) or {"data": request.body}
        message = self._request(model_name=model, model_version=version, input=inputs)
        ours = {} if request.model else {k.lower(): v for k, v in request.headers.items()}
        ours = {name: content for name, content in ours.items() if name not in _OF_HTTP}
        metadata = tuple({**dict(self._metadata), **ours}.items())
        server = _server(self._plan, request)
        return server, bytes(message.SerializeToString()), metadata, request.stream

    def send(self, prepared: Prepared, traceparent: str) -> Response:
        """Send a request and read its response: of a stream, all parts as one.

        Raises:
            NoResponse: the call ended with any status but OK.
        """
        server, message, metadata, is_stream = prepared
        if self._traced:
            metadata = (*metadata, ("traceparent", traceparent))
        first, parts = 0.0, []
        try:
            if is_stream:
                answers = self._stream[server](message, timeout=self._timeout, metadata=metadata)
            else:
                answers = [self._unary[server](message, timeout=self._timeout, metadata=metadata)]
            for part in answers:
                first = first or now()
                parts.append(part.prediction)
        except grpc.RpcError as error:
            raise NoResponse(f"gRPC {error.code().name}", str(error.details())) from error
        return Response(200, b"".join(parts), first or now())


def _server(plan: Plan, request: Request) -> Server:
    """Where a request goes; its own Host header comes before the host of its model's group."""
    named = {name.lower(): content for name, content in request.headers.items()}
    host = urlsplit(request.url).netloc if request.url else plan.host
    return request.url or plan.url, named.get("host") or request.host or host


def _channel(plan: Plan, address: str, host: str) -> grpc.Channel:
    """A channel to an address, whose requests carry a host of their own."""
    url = urlsplit(address)
    options = [("grpc.default_authority", host), ("grpc.max_receive_message_length", -1)]
    if url.scheme == "https":
        credentials = grpc.ssl_channel_credentials(plan.ca.encode() or None)
        return grpc.secure_channel(url.netloc, credentials, options=options)
    return grpc.insecure_channel(url.netloc, options=options)
