"""KServe's own SDK serving an ONNX model, as its documentation writes predictors: predictor.py --model_path=FILE --model_name=NAME --http_port=PORT."""

import argparse

import numpy as np
import onnxruntime
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer, model_server
from kserve.utils.utils import generate_uuid

parser = argparse.ArgumentParser(parents=[model_server.parser])
parser.add_argument("--model_path", required=True)
args, _ = parser.parse_known_args()


class OnnxModel(Model):
    def __init__(self, name: str, path: str):
        super().__init__(name)
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.ready = True

    def predict(self, payload: InferRequest, headers=None, **kwargs) -> InferResponse:
        feeds = {tensor.name: tensor.as_numpy() for tensor in payload.inputs}
        outputs = []
        for meta, array in zip(self.session.get_outputs(), self.session.run(None, feeds)):
            output = InferOutput(name=meta.name, shape=list(array.shape), datatype="INT64" if array.dtype == np.int64 else "FP32")
            output.set_data_from_numpy(array, binary_data=False)
            outputs.append(output)
        return InferResponse(response_id=generate_uuid(), model_name=self.name, infer_outputs=outputs)


if __name__ == "__main__":
    ModelServer().start([OnnxModel(args.model_name, args.model_path)])
