"""LitServe: one worker, batches of what came within a millisecond. It has a JSON of its own, {"x": [[…]]} at /predict, and neither gRPC nor the Open Inference Protocol."""

import os

os.environ.setdefault("LITSERVE_DISABLE_TELEMETRY", "1")

import litserve as ls
import numpy as np

from onnx_session import arguments, session

args = arguments()
MAX_BATCH = 32


class OnnxApi(ls.LitAPI):
    def setup(self, device):
        self.session = session(args.path)
        self.input = self.session.get_inputs()[0].name

    def decode_request(self, request):
        return np.asarray(request["x"], dtype=np.float32)

    def batch(self, inputs):
        self.sizes = [len(rows) for rows in inputs]
        return np.concatenate(inputs)

    def unbatch(self, outputs):
        cuts = np.cumsum(self.sizes)[:-1]
        return list(zip(*[np.split(output, cuts) for output in outputs]))

    def predict(self, rows):
        return self.session.run(None, {self.input: rows})

    def encode_response(self, outputs):
        return {"outputs": [output.tolist() for output in outputs]}


if __name__ == "__main__":
    api = OnnxApi(max_batch_size=MAX_BATCH, batch_timeout=0.001)
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=args.port, num_api_servers=1, generate_client_file=False)
