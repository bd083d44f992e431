"""KServe's own client and the CloudEvents SDK against a model with a handler, and CloudEvents against one without."""
import asyncio
import json
import shutil

import httpx
import numpy as np
import pytest
from cloudevents.conversion import to_binary, to_structured
from cloudevents.http import CloudEvent, from_http
from conftest import FIXTURES, serving
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

HANDLER = """
import { defineHandler, InvalidRequest, tensor } from 'kserve-node';

export default defineHandler({
  inputs: [{ name: 'scan', datatype: 'FP32', shape: [-1, 64] }],
  outputs: [{ name: 'says', datatype: 'BYTES', shape: [-1] }, { name: 'label', datatype: 'INT64', shape: [-1] }],
  preprocess(request) {
    const scan = request.input('scan', 'FP32');
    if (scan.some((value) => value > 16)) throw new InvalidRequest('Cannot use input "scan": expected values from 0 to 16');
    return [tensor('input', 'FP32', [scan.length / 64, 64], scan.map((value) => value / 16))];
  },
  postprocess(response) {
    const labels = response.output('label', 'INT64');
    return [tensor('says', 'BYTES', [labels.length], Array.from(labels, (label) => `It is a ${label}`)), tensor('label', 'INT64', [labels.length], labels)];
  },
  async explain(request, predict) {
    const scan = request.input('scan', 'FP32');
    const rows = scan.length / 64;
    const { outputs } = await predict(request);
    return [outputs[0], tensor('ink', 'FP32', [rows], Float32Array.from({ length: rows }, (_, row) => scan.slice(row * 64, row * 64 + 64).reduce((a, b) => a + b, 0)))];
  },
});
"""


@pytest.fixture(scope="module")
def handled(tmp_path_factory):
    repository = tmp_path_factory.mktemp("handled")
    shutil.copytree(FIXTURES / "models/digits-mlp", repository / "digits")
    (repository / "digits/handler.mjs").write_text(HANDLER)
    with serving(repository, "--enable_model_handlers=true") as running:
        yield running


@pytest.fixture(scope="module")
def scans(vector):
    """Rows of a scanner, from 0 to 16, and the digits on them."""
    inputs, outputs = vector("digits", "batch-20")
    return inputs[0][2] * np.float32(16), outputs[0][2].tolist()


def v1():
    return InferenceRESTClient(RESTConfig(protocol="v1", retries=0))


def test_v1_predict(handled, scans):
    scan, labels = scans
    predictions = asyncio.run(v1().infer(handled.url, {"instances": scan.tolist()}, model_name="digits"))["predictions"]
    assert predictions == [{"says": f"It is a {label}", "label": label} for label in labels]


def test_v1_explain(handled, scans):
    scan, labels = scans
    explanations = asyncio.run(v1().explain(handled.url, "digits", {"instances": scan.tolist()}))["explanations"]
    assert [row["says"] for row in explanations] == [f"It is a {label}" for label in labels]
    np.testing.assert_allclose([row["ink"] for row in explanations], scan.sum(axis=1), rtol=1e-5)


def test_v1_a_request_that_the_handler_refuses(handled):
    with pytest.raises(httpx.HTTPStatusError) as failed:
        asyncio.run(v1().infer(handled.url, {"instances": [[17.0] * 64]}, model_name="digits"))
    assert failed.value.response.status_code == 400
    assert failed.value.response.json() == {"error": 'Cannot use input "scan": expected values from 0 to 16'}


def infer_request(scan, use_binary_data):
    made = InferInput(name="scan", shape=list(scan.shape), datatype="FP32")
    made.set_data_from_numpy(scan, binary_data=use_binary_data)
    return InferRequest(model_name="digits", infer_inputs=[made])


def texts(output):
    return [value.decode() if isinstance(value, bytes) else value for value in output.as_numpy().tolist()]


def check(response, labels):
    assert [output.name for output in response.outputs] == ["says", "label"]
    assert texts(response.outputs[0]) == [f"It is a {label}" for label in labels]
    assert response.outputs[1].as_numpy().tolist() == labels


@pytest.mark.parametrize("use_binary_data", [False, True])
def test_v2_rest(handled, scans, use_binary_data):
    scan, labels = scans
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    check(asyncio.run(client.infer(handled.url, infer_request(scan, use_binary_data), model_name="digits")), labels)


@pytest.mark.parametrize("use_binary_data", [False, True])
def test_grpc(handled, scans, use_binary_data):
    scan, labels = scans

    async def scenario():
        return await InferenceGRPCClient(handled.grpc).infer(infer_request(scan, use_binary_data))

    check(asyncio.run(scenario()), labels)


def event(data, **attributes):
    return CloudEvent({"type": "org.example.scanned", "source": "/scanner/7", "id": "scan-1", **attributes}, data)


def send(server, encode, sent, path="/v1/models/digits:predict"):
    headers, body = encode(sent)
    return httpx.post(server.url + path, headers=dict(headers), content=body, timeout=30)


ENCODINGS = [pytest.param(to_binary, id="binary"), pytest.param(to_structured, id="structured")]


def read(encode, response):
    """The event in an answer, which comes in the mode that the question came in."""
    assert response.status_code == 200, response.text
    is_structured = response.headers["content-type"].startswith("application/cloudevents+json")
    assert is_structured == (encode is to_structured)
    answer = from_http(response.headers, response.content)
    assert answer["specversion"] == "1.0"
    assert answer["type"] == "io.kserve.inference.response"
    assert answer["source"] == "io.kserve.inference.digits"
    assert answer["id"]
    return answer.data if isinstance(answer.data, dict) else json.loads(answer.data)


@pytest.mark.parametrize("encode", ENCODINGS)
def test_a_cloud_event_to_a_handler(handled, scans, encode):
    scan, labels = scans
    sent = event({"instances": scan[:3].tolist()}, datacontenttype="application/json")
    assert read(encode, send(handled, encode, sent)) == {"predictions": [{"says": f"It is a {label}", "label": label} for label in labels[:3]]}


@pytest.mark.parametrize("encode", ENCODINGS)
def test_a_cloud_event_to_the_explanation_of_a_handler(handled, scans, encode):
    scan, labels = scans
    sent = event({"instances": scan[:1].tolist()}, datacontenttype="application/json")
    [explanation] = read(encode, send(handled, encode, sent, "/v1/models/digits:explain"))["explanations"]
    assert explanation["says"] == f"It is a {labels[0]}"


@pytest.mark.parametrize("encode", ENCODINGS)
def test_a_cloud_event_to_a_plain_model(server, vector, encode):
    inputs, outputs = vector("digits", "batch-20")
    sent = event({"instances": inputs[0][2].tolist()}, datacontenttype="application/json")
    predictions = read(encode, send(server, encode, sent))["predictions"]
    assert [row["label"] for row in predictions] == outputs[0][2].tolist()


@pytest.mark.parametrize("encode", ENCODINGS)
def test_a_cloud_event_that_the_handler_refuses(handled, encode):
    sent = event({"instances": [[17.0] * 64]}, datacontenttype="application/json")
    response = send(handled, encode, sent)
    assert response.status_code == 400
    assert response.json() == {"error": 'Cannot use input "scan": expected values from 0 to 16'}


def test_an_event_without_a_source_is_refused(handled):
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-type": "t", "content-type": "application/json"}
    response = httpx.post(f"{handled.url}/v1/models/digits:predict", headers=headers, content=b'{"instances": []}')
    assert response.status_code == 400
    assert "source" in response.text
