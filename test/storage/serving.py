"""`kserve-node serve` as a process, and clients that never stop asking."""

import json
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from ports import free_port

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "test/fixtures/models"
# Two that take the same input and tell themselves apart by their outputs.
IRIS = (MODELS / "iris-shap/model.onnx").read_bytes()
OTHER = (MODELS / "iris-zipmap/model.onnx").read_bytes()
WAIT_S = 60


class Server:
    def __init__(self, *flags, env, log):
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self.log = log
        command = ["node", ROOT / "dist/main.cjs", "serve", "--host=127.0.0.1", f"--http_port={port}", "--enable_grpc=false", "--lame_duck_seconds=0"]
        self.process = subprocess.Popen([*command, "--model_name=iris", *flags], env=env, stdout=log.open("wb"), stderr=subprocess.STDOUT)

    def wait_for(self, condition):
        ends = time.monotonic() + WAIT_S
        while not condition():
            assert self.process.poll() is None and time.monotonic() < ends, self.log.read_text()
            time.sleep(0.05)
        return self

    def is_ready(self):
        try:
            return urllib.request.urlopen(f"{self.url}/v2/health/ready", timeout=5).status == 200
        except OSError:
            return False

    def call(self, path, body=None):
        """Status and answer; a failure to connect is an OSError."""
        request = urllib.request.Request(self.url + path, None if body is None else json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def outputs(self, model="iris"):
        """Names of the outputs of a prediction."""
        tensor = {"name": "X", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}
        status, answer = self.call(f"/v2/models/{model}/infer", {"inputs": [tensor]})
        assert status == 200, answer
        return [output["name"] for output in json.loads(answer)["outputs"]]

    def version(self):
        return " ".join(f"{model['version']} {model['state']}" for model in json.loads(self.call("/v2/repository/index", {})[1]))

    def metric(self, name):
        lines = self.call("/metrics")[1].splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)), 0)

    def stop(self):
        self.process.terminate()
        return self.process.wait(30)


class Load:
    """Clients that ask as often as they can; `failures` holds what was no success."""

    def __init__(self, server, clients=4):
        self.answered = 0
        self.failures = []
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self.ask, args=(server,), daemon=True) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def ask(self, server):
        while not self.is_over.is_set():
            try:
                status, answer = server.call("/v1/models/iris:predict", {"instances": [[5.1, 3.5, 1.4, 0.2]]})
            except OSError as error:
                status, answer = 0, str(error)
            if status == 200:
                self.answered += 1
            else:
                self.failures.append((status, answer))

    def more(self, count=50):
        """A condition that holds when so many more were answered."""
        goal = self.answered + count
        return lambda: self.answered + len(self.failures) >= goal

    def stop(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join(30)
        return self.failures
