"""Makes identity.onnx and conv.onnx beside this file; needs numpy and onnx. Opset and IR version are old enough for every server of the comparison."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).parent
OPSET, IR_VERSION = 17, 8
# Channels in, channels out, stride; kernels are 3 x 3.
LAYERS = [(3, 32, 2), (32, 64, 1), (64, 64, 1), (64, 64, 2), (64, 64, 2)]
CLASSES = 1000


def save(name, nodes, inputs, outputs, weights=()):
    infos = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in side.items()] for side in (inputs, outputs)]
    graph = helper.make_graph(nodes, name, *infos, list(weights))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    onnx.save(model, HERE / f"{name}.onnx")


def identity():
    save("identity", [helper.make_node("Identity", ["X"], ["Y"])], {"X": ["n", "d"]}, {"Y": ["n", "d"]})


def conv():
    random = np.random.default_rng(0)
    nodes, weights, last = [], [], "X"
    for i, (channels, filters, stride) in enumerate(LAYERS):
        kernel = random.standard_normal((filters, channels, 3, 3)) * np.sqrt(2 / (channels * 9))
        weights += [numpy_helper.from_array(kernel.astype(np.float32), f"w{i}"), numpy_helper.from_array(np.zeros(filters, np.float32), f"b{i}")]
        nodes += [
            helper.make_node("Conv", [last, f"w{i}", f"b{i}"], [f"c{i}"], kernel_shape=[3, 3], strides=[stride] * 2, pads=[1] * 4),
            helper.make_node("Relu", [f"c{i}"], [f"r{i}"]),
        ]
        last = f"r{i}"
    final = random.standard_normal((LAYERS[-1][1], CLASSES)) * 0.1
    weights += [numpy_helper.from_array(final.astype(np.float32), "wf"), numpy_helper.from_array(np.zeros(CLASSES, np.float32), "bf")]
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Gemm", ["f", "wf", "bf"], ["Y"]),
    ]
    save("conv", nodes, {"X": ["n", 3, 224, 224]}, {"Y": ["n", CLASSES]}, weights)


if __name__ == "__main__":
    identity()
    conv()
