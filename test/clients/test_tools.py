"""curl, grpcurl and schemathesis."""
import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def output_of(*command: str, stdin: str | None = None) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, input=stdin, timeout=60).stdout


def test_curl_with_the_example_request(server):
    answer = json.loads(output_of("curl", "-sSf", "-H", "content-type: application/json", "--data-binary", f"@{ROOT}/examples/digits/request.json", f"{server.url}/v2/models/digits/infer"))
    assert answer["model_name"] == "digits"
    assert [output["name"] for output in answer["outputs"]] == ["label", "probabilities"]


def test_curl_with_a_body_in_chunks(server):
    body = (ROOT / "examples/digits/request.json").read_text()
    answer = output_of("curl", "-sSf", "-H", "transfer-encoding: chunked", "-H", "content-type: application/json; charset=utf-8", "--data-binary", "@-", f"{server.url}/v2/models/digits/infer", stdin=body)
    assert json.loads(answer)["model_name"] == "digits"


def grpcurl(server, *arguments: str, stdin: str | None = None) -> str:
    return output_of(str(BIN / "grpcurl"), "-plaintext", *arguments[:-1], server.grpc, *arguments[-1:], stdin=stdin)


def test_grpcurl_lists_the_services_by_reflection(server):
    services = grpcurl(server, "list").split()
    assert {"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= set(services)


def test_grpcurl_describes_and_calls_by_reflection(server):
    assert "ModelInfer" in output_of(str(BIN / "grpcurl"), "-plaintext", server.grpc, "describe", "inference.GRPCInferenceService")
    request = {"model_name": "digits", "inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 64], "contents": {"fp32_contents": [0.5] * 64}}]}
    answer = json.loads(output_of(str(BIN / "grpcurl"), "-plaintext", "-d", json.dumps(request), server.grpc, "inference.GRPCInferenceService/ModelInfer"))
    assert answer["modelName"] == "digits"
    assert len(answer["outputs"][1]["contents"]["fp32Contents"]) == 10


def test_grpcurl_checks_health_of_server_and_model(server):
    for service in ("", "digits"):
        answer = output_of(str(BIN / "grpcurl"), "-plaintext", "-d", json.dumps({"service": service}), server.grpc, "grpc.health.v1.Health/Check")
        assert json.loads(answer)["status"] == "SERVING"


# Explaining answers 501 by contract where there is neither a handler nor an explainer.
def test_schemathesis_finds_no_answer_outside_the_openapi_document(server):
    command = [str(BIN / "schemathesis"), "run", f"{server.url}/openapi.json", "--max-examples=40", "--seed=7", "--exclude-path-regex=(/repository/models/.*|[:/]explain)", "--request-timeout=20",
               "--checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance", "--exclude-checks=unsupported_method"]
    assert shutil.which("curl")
    result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
