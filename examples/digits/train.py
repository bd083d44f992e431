"""Trains the model of this example and writes everything beside this file that is not code.

    pip install scikit-learn onnx numpy && python train.py

    model/model.onnx   a small neural network: 64 pixels in, the digit and ten probabilities out
    images.json        20 images it was not trained on, with what they really show
    request.json       the first of them as a request of the Open Inference Protocol

The images are scikit-learn's bundled copy of the UCI "Optical Recognition of Handwritten Digits" test set: 8 x 8 pixels of 0 (white) to 16 (black).
"""
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

HERE = Path(__file__).parent
SEED = 7
DARKEST = 16
HIDDEN_LAYERS = (64, 32)


def train():
    """Returns the network and the images and labels that it has not seen."""
    pixels, labels = load_digits(return_X_y=True)
    pixels = (pixels / DARKEST).astype(np.float32)
    seen, unseen, seen_labels, unseen_labels = train_test_split(pixels, labels, test_size=0.25, random_state=SEED, stratify=labels)
    network = MLPClassifier(HIDDEN_LAYERS, max_iter=120, random_state=SEED).fit(seen, seen_labels)
    print(f"accuracy on {len(unseen)} unseen images: {network.score(unseen, unseen_labels):.3f}")
    return network, unseen, unseen_labels


def to_onnx(network):
    """input FP32 [batch, 64] -> label INT64 [batch], probabilities FP32 [batch, 10]"""
    nodes, weights, current = [], [], "input"
    last = len(network.coefs_) - 1
    for layer, (matrix, bias) in enumerate(zip(network.coefs_, network.intercepts_)):
        weights += [numpy_helper.from_array(matrix.astype(np.float32), f"w{layer}"), numpy_helper.from_array(bias.astype(np.float32), f"b{layer}")]
        output = "logits" if layer == last else f"h{layer}"
        nodes.append(helper.make_node("Gemm", [current, f"w{layer}", f"b{layer}"], [output]))
        if layer < last:
            nodes.append(helper.make_node("Relu", [output], [f"a{layer}"]))
        current = f"a{layer}"
    nodes.append(helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1))
    nodes.append(helper.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0))
    graph = helper.make_graph(
        nodes,
        "digits-mlp",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 64])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10]),
        ],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def write_json(name, value):
    (HERE / name).write_text(json.dumps(value, separators=(",", ":")) + "\n")


def main():
    network, images, labels = train()
    (HERE / "model").mkdir(exist_ok=True)
    onnx.save(to_onnx(network), HERE / "model" / "model.onnx")
    shown = [(image, label) for image, label in zip(images[:20], labels[:20])]
    write_json("images.json", [{"label": int(label), "pixels": [int(pixel * DARKEST) for pixel in image]} for image, label in shown])
    first = [float(pixel) for pixel in images[0]]
    write_json("request.json", {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 64], "data": first}]})


if __name__ == "__main__":
    main()
