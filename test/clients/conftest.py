"""Starts the built server: once, on a repository of golden models, for all client tests, and where a suite brings models of its own."""
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "test" / "fixtures"
MODELS = {
    "digits": "models/digits-mlp", "bert-tiny": "models/bert-tiny", "fp16-mlp": "models/fp16-mlp", "iris-string-labels": "models/iris-string-labels",
    "datatypes": "models/datatypes", "identity-bytes": "identity/identity-bytes", "identity-fp32": "identity/identity-fp32", "identity-int64": "identity/identity-int64",
    "identity-bf16": "identity/identity-bf16",
}
NUMPY = {"BOOL": np.bool_, "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32,
         "UINT64": np.uint64, "FP16": np.float16, "FP32": np.float32, "FP64": np.float64, "BYTES": np.object_}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, process, http_port: int, grpc_port: int):
        self.process = process
        self.http = f"127.0.0.1:{http_port}"
        self.grpc = f"127.0.0.1:{grpc_port}"
        self.url = f"http://{self.http}"


@contextmanager
def serving(repository: Path, *flags: str):
    http_port, grpc_port = free_port(), free_port()
    command = ["node", str(ROOT / "dist/main.cjs"), "serve", f"--model_dir={repository}", "--host=127.0.0.1", f"--http_port={http_port}", f"--grpc_port={grpc_port}",
               "--lame_duck_seconds=0", *flags]
    process = subprocess.Popen(command, env={"PATH": os.environ["PATH"]})
    running = Server(process, http_port, grpc_port)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"{running.url}/v2/health/ready", timeout=1) as answer:
                    if json.load(answer)["ready"]:
                        break
            except OSError:
                assert process.poll() is None, "the server ended before it was ready"
                assert time.monotonic() < deadline, "the server was not ready within 60 s"
                time.sleep(0.05)
        yield running
        assert process.poll() is None, "the server ended during the tests"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    repository = tmp_path_factory.mktemp("repository")
    for name, fixture in MODELS.items():
        shutil.copytree(FIXTURES / fixture, repository / name)
    with serving(repository, "--isolation=inline") as running:
        yield running


def _array(tensor):
    values = [float(value) if isinstance(value, str) and tensor["datatype"].startswith("FP") else value for value in tensor["data"]]
    if tensor["datatype"] == "BYTES":
        values = [value.encode() for value in values]
    elif tensor["datatype"] in ("INT64", "UINT64"):
        values = [int(value) for value in values]
    return np.array(values, dtype=NUMPY[tensor["datatype"]]).reshape(tensor["shape"])


@pytest.fixture(scope="session")
def vector():
    """vector(model, case) -> (inputs, outputs) as lists of (name, datatype, array)."""

    def read(model: str, case: str):
        cases = json.loads((FIXTURES / MODELS[model] / "vectors.json").read_text())["cases"]
        found = next(candidate for candidate in cases if candidate["name"] == case)
        return tuple([(tensor["name"], tensor["datatype"], _array(tensor)) for tensor in found[side]] for side in ("inputs", "outputs"))

    return read
