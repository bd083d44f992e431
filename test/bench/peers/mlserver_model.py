"""A custom runtime of MLServer: NumPy in, NumPy out."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from onnx_session import session


class OnnxModel(MLModel):
    async def load(self) -> bool:
        self.session = session(self.settings.parameters.uri)
        self.output_names = [output.name for output in self.session.get_outputs()]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        feeds = {tensor.name: NumpyCodec.decode_input(tensor) for tensor in payload.inputs}
        arrays = self.session.run(self.output_names, feeds)
        outputs = [NumpyCodec.encode_output(name, array) for name, array in zip(self.output_names, arrays)]
        return InferenceResponse(model_name=self.name, outputs=outputs)
