"""KServe's own Python clients, REST (v1, v2 JSON, v2 binary) and gRPC."""
import asyncio

import httpx
import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput


def run(coroutine):
    return asyncio.run(coroutine)


def request(vector, use_binary_data=False, **options):
    inputs, outputs = vector("digits", "batch-20")
    made = []
    for name, datatype, array in inputs:
        tensor = InferInput(name=name, shape=list(array.shape), datatype=datatype)
        tensor.set_data_from_numpy(array, binary_data=use_binary_data)
        made.append(tensor)
    return InferRequest(model_name="digits", infer_inputs=made, **options), outputs


@pytest.mark.parametrize("use_binary_data", [False, True])
def test_v2_rest(server, vector, use_binary_data):
    infer_request, outputs = request(vector, use_binary_data)

    async def scenario():
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        assert await client.is_server_live(server.url)
        assert await client.is_server_ready(server.url)
        assert await client.is_model_ready(server.url, "digits")
        return await client.infer(server.url, infer_request, model_name="digits")

    response = run(scenario())
    got = {output.name: output.as_numpy() for output in response.outputs}
    assert got["label"].tolist() == outputs[0][2].tolist()
    np.testing.assert_allclose(got["probabilities"], outputs[1][2], atol=1e-5)


def test_v2_rest_with_a_binary_output(server, vector):
    infer_request, outputs = request(vector, request_outputs=[RequestedOutput("probabilities", parameters={"binary_data": True}), RequestedOutput("label")])

    async def scenario():
        return await InferenceRESTClient(RESTConfig(protocol="v2")).infer(server.url, infer_request, model_name="digits")

    response = run(scenario())
    assert [output.name for output in response.outputs] == ["probabilities", "label"]
    np.testing.assert_allclose(response.outputs[0].as_numpy(), outputs[1][2], atol=1e-5)


def test_v1_rest(server, vector):
    inputs, outputs = vector("digits", "batch-20")

    async def scenario():
        client = InferenceRESTClient(RESTConfig(protocol="v1"))
        assert await client.is_server_live(server.url)
        assert await client.is_model_ready(server.url, "digits")
        return await client.infer(server.url, {"instances": inputs[0][2].tolist()}, model_name="digits")

    predictions = run(scenario())["predictions"]
    assert [row["label"] for row in predictions] == outputs[0][2].tolist()
    np.testing.assert_allclose([row["probabilities"] for row in predictions], outputs[1][2], atol=1e-5)


def test_v1_explain_says_that_there_is_no_explainer(server, vector):
    async def scenario():
        return await InferenceRESTClient(RESTConfig(protocol="v1")).explain(server.url, "digits", {"instances": []})

    with pytest.raises(httpx.HTTPStatusError) as failed:
        run(scenario())
    assert failed.value.response.status_code == 501


@pytest.mark.parametrize("use_binary_data", [False, True])
def test_grpc(server, vector, use_binary_data):
    infer_request, outputs = request(vector, use_binary_data)

    async def scenario():
        client = InferenceGRPCClient(server.grpc)
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("digits")
        return await client.infer(infer_request)

    response = run(scenario())
    got = {output.name: output.as_numpy() for output in response.outputs}
    assert got["label"].tolist() == outputs[0][2].tolist()
    np.testing.assert_allclose(got["probabilities"], outputs[1][2], atol=1e-5)


def test_an_unknown_model(server, vector):
    infer_request, _ = request(vector)

    async def scenario():
        return await InferenceRESTClient(RESTConfig(protocol="v2", retries=0)).infer(server.url, infer_request, model_name="nobody")

    with pytest.raises(httpx.HTTPStatusError, match="nobody does not exist"):
        run(scenario())
