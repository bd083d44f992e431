"""What the servers of this folder share: their command line, and ONNX Runtime as the product uses it for one model on few cores."""

import sys
from typing import NamedTuple

import numpy as np
import onnxruntime as ort


class Arguments(NamedTuple):
    name: str
    path: str
    port: int
    grpc_port: int


def arguments() -> Arguments:
    name, path, port, grpc_port = sys.argv[1:5]
    return Arguments(name, path, int(port), int(grpc_port))


def session(path: str) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


DATATYPES = {"tensor(float)": "FP32", "tensor(int64)": "INT64"}
NUMPY = {"FP32": np.float32, "INT64": np.int64}


def describe(tensors) -> list[dict]:
    """Metadata of the Open Inference Protocol: -1 for what varies."""
    return [
        {"name": t.name, "datatype": DATATYPES[t.type], "shape": [d if isinstance(d, int) else -1 for d in t.shape]}
        for t in tensors
    ]
