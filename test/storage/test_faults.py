"""What a store, a network or a disk can do to a download: it passes or ends with one line, code 1 and an untouched destination."""

import json
import os
import resource
import subprocess

import pytest
from front import xml_error
from test_s3 import put, tree

MODEL = {"m/model.onnx": b"model" * 1000, "m/b": b"b"}
EXPECTED = {"model.onnx": b"model" * 1000, "b": b"b"}


def is_read(request):
    return "list-type" not in request.path and request.command == "GET"


def first(count, kind, refusal):
    """Refuses the first requests of a kind."""
    left = [count]

    def answer(request):
        if not kind(request) or left[0] == 0:
            return None
        left[0] -= 1
        return refusal

    return answer


@pytest.mark.parametrize("store", ["moto"], indirect=True)
@pytest.mark.parametrize("kind", [is_read, lambda request: not is_read(request)], ids=["read", "listing"])
@pytest.mark.parametrize("refusal", [(500, {}, b""), xml_error(503, "SlowDown", {"Retry-After": "1"}), xml_error(400, "RequestTimeout")], ids=["500", "503", "400"])
def test_refusals_that_pass(s3, front, download, tmp_path, kind, refusal):
    put(s3, MODEL)
    made = front(answer=first(2, kind, refusal))
    done = download("s3://foo/m", tmp_path / "models", AWS_ENDPOINT_URL=f"http://127.0.0.1:{made.port}")
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "models") == EXPECTED
    assert json.loads(done.stdout)["retries"] == 2


@pytest.mark.parametrize("store", ["moto"], indirect=True)
@pytest.mark.parametrize("kind", [is_read, lambda request: not is_read(request)], ids=["read", "listing"])
@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        ((500, {}, b""), "S3 answered 500, 2 attempts failed"),
        (xml_error(503, "SlowDown"), "S3 answered 503 SlowDown, 2 attempts failed"),
        (xml_error(400, "ExpiredToken"), "invalid AWS credentials (400 ExpiredToken), verify AWS_ACCESS_KEY_ID"),
        (xml_error(403, "AccessDenied"), "(403 AccessDenied), verify permissions"),
        (xml_error(400, "InvalidRegion"), "(400 InvalidRegion: Said by the store), check AWS_DEFAULT_REGION"),
        (xml_error(307, "TemporaryRedirect", {"Location": "http://127.0.0.1:1/"}), "(307 TemporaryRedirect: Said by the store), check AWS_DEFAULT_REGION"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_refusals_that_stay(s3, front, download, tmp_path, kind, refusal, message):
    put(s3, MODEL)
    made = front(answer=first(1000, kind, refusal))
    (tmp_path / "models").mkdir()
    (tmp_path / "models/own").write_text("mine")
    done = download("s3://foo/m", tmp_path / "models", AWS_ENDPOINT_URL=f"http://127.0.0.1:{made.port}", S3_MAX_ATTEMPTS="2")
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (1, 1), done.stderr
    assert done.stderr.startswith("Cannot download s3://foo/m: ") and message in done.stderr
    assert tree(tmp_path / "models") == {"own": b"mine"}


@pytest.mark.parametrize("store", ["moto"], indirect=True)
def test_listing_that_is_none(s3, front, download, tmp_path):
    made = front(answer=lambda request: (200, {"Content-Type": "text/html"}, b"<html><body>Log in</body></html>"))
    done = download("s3://foo/m", tmp_path / "models", AWS_ENDPOINT_URL=f"http://127.0.0.1:{made.port}")
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (1, 1), done.stderr
    assert "S3 answered something that is no listing (200), check AWS_ENDPOINT_URL" in done.stderr
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("store", ["moto"], indirect=True)
@pytest.mark.parametrize("times", [1, 1000])
def test_wrong_bytes(s3, front, download, tmp_path, times):
    put(s3, {"m/model.onnx": b"right"})
    headers = {"ETag": s3.head_object(Bucket="foo", Key="m/model.onnx")["ETag"]}
    made = front(answer=first(times, is_read, (200, headers, b"wrong")))
    done = download("s3://foo/m", tmp_path / "models", AWS_ENDPOINT_URL=f"http://127.0.0.1:{made.port}")
    if times == 1:
        assert done.returncode == 0, done.stderr
        assert tree(tmp_path / "models") == {"model.onnx": b"right"}
    else:
        assert done.returncode == 1 and "does not have the md5 checksum of the store" in done.stderr
        assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("cut", [("stall", 600), ("reset", 600)])
def test_connections_that_never_last(s3, proxy, download, tmp_path, cut):
    put(s3, {"m/model.onnx": os.urandom(100_000)})
    proxy.cuts = [None, *[cut] * 50]
    done = download("s3://foo/m", tmp_path / "models", AWS_ENDPOINT_URL=proxy.url, S3_READ_TIMEOUT="0.5", S3_MAX_ATTEMPTS="3")
    *progress, line = done.stderr.strip().splitlines()
    assert done.returncode == 1 and all('"Downloading"' in other for other in progress), done.stderr
    assert line.startswith("Cannot download s3://foo/m: ") and line.endswith(", 3 attempts failed")
    assert not (tmp_path / "models").exists()


def test_disk_that_is_too_small(s3, endpoint, tmp_path, download):
    put(s3, {"m/model.onnx": os.urandom(12 * 1024 * 1024)})
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", small], capture_output=True).returncode == 0:
        try:
            done = download("s3://foo/m", small / "models")
            left = list(small.iterdir())
        finally:
            subprocess.run(["umount", small], check=True)
    else:
        # Nobody may mount here: a limit on files does the same to writes.
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4 * 1024 * 1024, limits[1]))
        try:
            done = download("s3://foo/m", small / "models")
            left = list(small.iterdir())
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (done.returncode, len(done.stderr.strip().splitlines()), left) == (1, 1, []), done.stderr
    assert done.stderr.startswith("Cannot download s3://foo/m: ")


@pytest.mark.parametrize("uri", ["s3://", "s3:///m", "s3://a b/m", "s3://-/m", "S3//foo", "gopher://foo/m"])
def test_malformed_uris(download, tmp_path, uri):
    done = download(uri, tmp_path / "models")
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (1, 1), done.stderr
    assert done.stderr.startswith(f"Cannot download {uri}: ")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("store", ["moto"], indirect=True)
@pytest.mark.parametrize("key", ["m/../../evil", "m/a//b", "m/./b"])
def test_keys_that_lead_elsewhere(s3, front, download, tmp_path, key):
    listing = f"<ListBucketResult><Name>foo</Name><KeyCount>1</KeyCount><IsTruncated>false</IsTruncated><Contents><Key>{key}</Key><Size>4</Size></Contents></ListBucketResult>"
    made = front(answer=lambda request: (200, {"Content-Type": "application/xml"}, listing.encode()))
    done = download("s3://foo/m", tmp_path / "in/models", AWS_ENDPOINT_URL=f"http://127.0.0.1:{made.port}")
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (1, 1), done.stderr
    assert "refused object" in done.stderr
    assert list(tmp_path.rglob("evil")) == [] and not (tmp_path / "in/models").exists()
