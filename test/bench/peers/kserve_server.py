"""A custom predictor on KServe's Python SDK, as its documentation shows one."""

import sys

from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.utils.utils import generate_uuid

from onnx_session import DATATYPES, arguments, describe, session

args = arguments()


class OnnxModel(Model):
    def load(self):
        self.session = session(args.path)
        self.outputs = self.session.get_outputs()
        self.ready = True
        return True

    async def get_input_types(self):
        return describe(self.session.get_inputs())

    async def get_output_types(self):
        return describe(self.outputs)

    def predict(self, payload: InferRequest, headers=None, **kwargs) -> InferResponse:
        feeds = {tensor.name: tensor.as_numpy() for tensor in payload.inputs}
        results = []
        for output, array in zip(self.outputs, self.session.run(None, feeds)):
            result = InferOutput(name=output.name, shape=list(array.shape), datatype=DATATYPES[output.type])
            result.set_data_from_numpy(array, binary_data=payload.use_binary_outputs)
            results.append(result)
        return InferResponse(
            response_id=payload.id or generate_uuid(),
            model_name=self.name,
            infer_outputs=results,
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )


if __name__ == "__main__":
    # Its own flags are read from the command line when it is imported and started.
    sys.argv = [sys.argv[0]]
    model = OnnxModel(args.name)
    model.load()
    ModelServer(http_port=args.port, grpc_port=args.grpc_port).start([model])
