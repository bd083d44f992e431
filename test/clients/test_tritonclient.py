"""Triton's own Python clients, HTTP and gRPC."""
import ml_dtypes
import numpy as np
import pytest
import tritonclient.grpc as grpcclient
import tritonclient.http as httpclient
from tritonclient.utils import InferenceServerException

PROTOCOLS = {"http": httpclient, "grpc": grpcclient}
DATATYPES = ["BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "FP16", "FP32", "FP64", "BYTES"]


@pytest.fixture(params=["http", "grpc"])
def client(request, server):
    library = PROTOCOLS[request.param]
    connected = library.InferenceServerClient(server.http if request.param == "http" else server.grpc)
    connected.library = library
    yield connected
    connected.close()


def tensor(library, name, datatype, array, **options):
    made = library.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, **options)
    return made


def close(got, want, datatype):
    if datatype.startswith("FP"):
        np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64), rtol=4e-3 if datatype == "FP16" else 1e-4, atol=4e-3 if datatype == "FP16" else 1e-5)
    else:
        assert got.tolist() == want.tolist()


def test_health_and_metadata(client, server):
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("digits") and client.is_model_ready("digits", "1")
    is_http = client.library is httpclient
    server_metadata = client.get_server_metadata() if is_http else client.get_server_metadata(as_json=True)
    assert server_metadata["name"] == "kserve-node"
    metadata = client.get_model_metadata("digits") if is_http else client.get_model_metadata("digits", as_json=True)
    assert metadata["platform"] == "onnx_onnxv1"
    assert metadata["inputs"][0]["name"] == "input"
    assert [int(dimension) for dimension in metadata["inputs"][0]["shape"]] == [-1, 64]


def test_an_unknown_model_is_named_in_the_error(client):
    with pytest.raises(InferenceServerException, match="nobody does not exist"):
        client.get_model_metadata("nobody")


@pytest.mark.parametrize("model,case", [("digits", "one"), ("digits", "batch-20"), ("digits", "empty-batch"), ("bert-tiny", "batch-padded"), ("fp16-mlp", "batch-5"), ("iris-string-labels", "batch-12"), ("datatypes", "edges")])
def test_reference_vectors_as_sent_by_default(client, vector, model, case):
    inputs, outputs = vector(model, case)
    result = client.infer(model, [tensor(client.library, *entry) for entry in inputs])
    for name, datatype, want in outputs:
        close(result.as_numpy(name), want, datatype)


@pytest.mark.parametrize("case", ["one", "batch-20", "blank"])
def test_reference_vectors_as_json(server, vector, case):
    inputs, outputs = vector("digits", case)
    with httpclient.InferenceServerClient(server.http) as client:
        sent = [tensor(httpclient, *entry, binary_data=False) for entry in inputs]
        wanted = [httpclient.InferRequestedOutput(name, binary_data=False) for name, _, _ in outputs]
        result = client.infer("digits", sent, outputs=wanted)
    for name, datatype, want in outputs:
        close(result.as_numpy(name), want, datatype)


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_compressed_requests_and_responses(server, vector, compression):
    inputs, outputs = vector("digits", "batch-20")
    with httpclient.InferenceServerClient(server.http) as client:
        result = client.infer("digits", [tensor(httpclient, *entry) for entry in inputs], request_compression_algorithm=compression, response_compression_algorithm=compression)
    close(result.as_numpy("label"), outputs[0][2], "INT64")


def test_compressed_grpc(server, vector):
    inputs, outputs = vector("digits", "batch-20")
    with grpcclient.InferenceServerClient(server.grpc) as client:
        result = client.infer("digits", [tensor(grpcclient, *entry) for entry in inputs], compression_algorithm="gzip")
    close(result.as_numpy("label"), outputs[0][2], "INT64")


def test_requested_outputs_ids_and_parameters(client, vector):
    inputs, outputs = vector("digits", "one")
    sent = [tensor(client.library, *entry) for entry in inputs]
    result = client.infer("digits", sent, request_id="order-66", outputs=[client.library.InferRequestedOutput("label")], parameters={"mine": "yes", "count": 3})
    response = result.get_response()
    assert (response["id"] if client.library is httpclient else response.id) == "order-66"
    assert result.as_numpy("label").tolist() == outputs[0][2].tolist()
    assert result.as_numpy("probabilities") is None


def test_infinities_and_nan_in_json(server):
    values = np.array([[np.nan, np.inf, -np.inf, 1.5]], np.float32)
    with httpclient.InferenceServerClient(server.http) as client:
        result = client.infer("identity-fp32", [tensor(httpclient, "x", "FP32", values)], outputs=[httpclient.InferRequestedOutput("y", binary_data=False)])
    np.testing.assert_array_equal(result.as_numpy("y"), values)


def test_int64_beyond_doubles_in_json(server):
    values = np.array([[2**63 - 1, -(2**63), 2**53 + 1, 0]], np.int64)
    with httpclient.InferenceServerClient(server.http) as client:
        result = client.infer("identity-int64", [tensor(httpclient, "x", "INT64", values, binary_data=False)], outputs=[httpclient.InferRequestedOutput("y", binary_data=False)])
    assert result.as_numpy("y").tolist() == values.tolist()


def test_bytes_with_nul_and_without_utf8(client):
    values = np.array([[b"", b"a\0b", b"\xff\xfe", "😀".encode()]], np.object_)
    result = client.infer("identity-bytes", [tensor(client.library, "x", "BYTES", values)])
    assert result.as_numpy("y").tolist() == values.tolist()


def test_bf16(server):
    values = np.array([[1.0, -2.5, 0.0078125, 3.0]], ml_dtypes.bfloat16)
    with grpcclient.InferenceServerClient(server.grpc) as client:
        result = client.infer("identity-bf16", [tensor(grpcclient, "x", "BF16", values)])
    assert result.as_numpy("y").tolist() == values.tolist()


def test_asynchronous_requests(client, vector):
    import threading

    inputs, outputs = vector("digits", "one")
    if client.library is httpclient:
        pending = [client.async_infer("digits", [tensor(client.library, *entry) for entry in inputs]) for _ in range(20)]
        results = [request.get_result() for request in pending]
    else:
        results, done = [], threading.Semaphore(0)
        for _ in range(20):
            client.async_infer("digits", [tensor(client.library, *entry) for entry in inputs], callback=lambda result, error: (results.append(error or result), done.release()))
        for _ in range(20):
            assert done.acquire(timeout=30)
    assert [result.as_numpy("label").tolist() for result in results] == [outputs[0][2].tolist()] * 20


def test_the_timeout_of_the_request_is_kept(client, vector):
    inputs, _ = vector("digits", "one")
    result = client.infer("digits", [tensor(client.library, *entry) for entry in inputs], timeout=30_000_000)
    assert result.as_numpy("label") is not None


def test_errors_name_the_field(client):
    wrong = tensor(client.library, "input", "FP64", np.zeros((1, 64), np.float64))
    with pytest.raises(InferenceServerException, match='"input".*FP32.*FP64'):
        client.infer("digits", [wrong])


def test_repository_index_load_and_unload(client):
    def index():
        listed = client.get_model_repository_index() if client.library is httpclient else client.get_model_repository_index(as_json=True)["models"]
        return {entry["name"]: entry["state"] for entry in listed}

    assert index()["fp16-mlp"] == "READY"
    client.unload_model("fp16-mlp")
    assert not client.is_model_ready("fp16-mlp")
    assert index()["fp16-mlp"] == "UNAVAILABLE"
    client.load_model("fp16-mlp")
    assert client.is_model_ready("fp16-mlp")
    assert index()["fp16-mlp"] == "READY"


def test_statistics_of_one_model_and_of_all(client):
    is_http = client.library is httpclient
    array = np.zeros((3, 64), np.float32)

    def statistics(name="", version=""):
        if is_http:
            return client.get_inference_statistics(name, version)["model_stats"]
        return client.get_inference_statistics(name, version, as_json=True)["model_stats"]

    def numbers(model):
        return int(model.get("inference_count", 0)), int(model["inference_stats"].get("success", {}).get("count", 0))

    (before,) = statistics("digits", "1")
    client.infer("digits", [tensor(client.library, "input", "FP32", array)])
    (after,) = statistics("digits")
    assert (after["name"], after["version"]) == ("digits", "1")
    assert [late - early for early, late in zip(numbers(before), numbers(after))] == [3, 1]
    assert any(int(entry.get("batch_size", 0)) == 3 and int(entry["compute_infer"]["count"]) > 0 for entry in after["batch_stats"])
    assert "digits" in [model["name"] for model in statistics()]
    with pytest.raises(InferenceServerException, match="nobody does not exist"):
        client.get_inference_statistics("nobody")
