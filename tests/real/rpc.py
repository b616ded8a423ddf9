"""gRPC: TorchServe's inference service; grpcio multiplexes, and sends nothing twice."""

import ssl

import grpc

from harness.loadtest.generator.rpc import METHOD, messages
from harness.models.samples import PreparedSample
from tests.real.load import Load, certificate_of


class Rpc:
    """One channel, as grpcio keeps it."""

    def __init__(self, load: Load) -> None:
        request, response = messages()
        self._request = request
        where = f"{load.address}:{load.port}"
        options = [("grpc.default_authority", load.host), ("grpc.enable_retries", 0)]
        if load.tls:
            # What is served now is trusted: its authority is of this machine.
            der = certificate_of(load.address, load.port, load.host)
            options.append(("grpc.ssl_target_name_override", load.host))
            pem = ssl.DER_cert_to_PEM_cert(der).encode()
            credentials = grpc.ssl_channel_credentials(pem)
            channel = grpc.aio.secure_channel(where, credentials, options=options)
        else:
            channel = grpc.aio.insecure_channel(where, options=options)
        self._ask = channel.unary_unary(METHOD, None, response.FromString)

    async def ask(self, sample: PreparedSample) -> tuple[int, bytes]:
        """200 and the prediction, or the status code that gRPC gives and its details."""
        message = self._request(model_name=sample.model, input={"data": sample.body})
        try:
            answer = await self._ask(message.SerializeToString())
        except grpc.aio.AioRpcError as error:
            return int(error.code().value[0]), str(error.details()).encode()
        return 200, answer.prediction
