"""Triton with its dynamic batcher and a callable in Python (nvidia-pytriton)."""

import sysconfig
import os
import sys

# Triton's stub for Python needs the library of this very Python.
if "KSERVE_NODE_BENCH_PYTRITON" not in os.environ:
    os.environ["KSERVE_NODE_BENCH_PYTRITON"] = "1"
    os.environ["LD_LIBRARY_PATH"] = sysconfig.get_config_var("LIBDIR") or ""
    os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    os.execv(sys.executable, [sys.executable, *sys.argv])

from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from onnx_session import NUMPY, arguments, describe, session

args = arguments()
MAX_BATCH = 32
loaded = session(args.path)
inputs, outputs = describe(loaded.get_inputs()), describe(loaded.get_outputs())


def rows_of(tensor: dict) -> Tensor:
    # The first dimension is the batch's. Triton wants one more, which a list of labels does not have.
    return Tensor(name=tensor["name"], dtype=NUMPY[tensor["datatype"]], shape=tuple(tensor["shape"][1:]) or (1,))


@batch
def infer(**feeds):
    arrays = loaded.run(None, feeds)
    return {
        tensor["name"]: array if array.ndim > 1 else array[:, None] for tensor, array in zip(outputs, arrays)
    }


config = TritonConfig(
    http_address="127.0.0.1",
    http_port=args.port,
    grpc_address="127.0.0.1",
    grpc_port=args.grpc_port,
    allow_metrics=False,
    exit_timeout_secs=10,
)
with Triton(config=config) as triton:
    triton.bind(
        model_name=args.name,
        infer_func=infer,
        inputs=[rows_of(tensor) for tensor in inputs],
        outputs=[rows_of(tensor) for tensor in outputs],
        config=ModelConfig(batching=True, max_batch_size=MAX_BATCH, batcher=DynamicBatcher(max_queue_delay_microseconds=0)),
        strict=False,
    )
    triton.serve()
