"""MLServer without worker processes (its quickest form on two cores), from a folder of settings made on the way."""

import json
import os
import sys
import tempfile
from pathlib import Path

from onnx_session import arguments, describe, session

args = arguments()
here = Path(__file__).resolve().parent
folder = Path(tempfile.mkdtemp(prefix="kserve-node-bench-mlserver-"))
(folder / "metrics").mkdir()
(folder / "settings.json").write_text(
    json.dumps(
        {
            "host": "127.0.0.1",
            "http_port": args.port,
            "grpc_port": args.grpc_port,
            "metrics_port": 0,
            "metrics_endpoint": None,
            "parallel_workers": 0,
            "grpc_max_message_length": 64 << 20,
            "environments_dir": str(folder / "environments"),
            "metrics_dir": str(folder / "metrics"),
        }
    )
)
loaded = session(args.path)
(folder / args.name).mkdir()
(folder / args.name / "model-settings.json").write_text(
    json.dumps(
        {
            "name": args.name,
            "implementation": "mlserver_model.OnnxModel",
            "inputs": describe(loaded.get_inputs()),
            "outputs": describe(loaded.get_outputs()),
            "parameters": {"uri": str(Path(args.path).resolve())},
        }
    )
)
os.environ["PYTHONPATH"] = str(here)
os.chdir(folder)
program = str(Path(sys.executable).parent / "mlserver")
os.execv(program, [program, "start", str(folder)])
