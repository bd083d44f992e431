"""What KServe's storage initializer promises for s3://, from servers and through an SDK that are not ours."""

import hashlib
import io
import json
import os
import tarfile

import pytest

LARGE = os.urandom(30 * 1024 * 1024 + 5)


def put(s3, objects):
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket="foo"):
        for item in page.get("Contents", []):
            s3.delete_object(Bucket="foo", Key=item["Key"])
    for key, body in objects.items():
        s3.put_object(Bucket="foo", Key=key, Body=body)


def tree(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


# Path below the bucket, objects, and the files that are to be there.
LAYOUTS = [
    pytest.param(
        "bar",
        ["bar/models/weights.pt", "bar/0002.h5", "bar/a/very/long/path/config.json"],
        ["models/weights.pt", "0002.h5", "a/very/long/path/config.json"],
        id="parent_key",
    ),
    pytest.param("", ["models/weights.pt", "0002.h5", "a/very/long/path/config.json"], ["models/weights.pt", "0002.h5", "a/very/long/path/config.json"], id="no_key"),
    pytest.param("path/to/model/name.pt", ["path/to/model/name.pt", "path/to/model/name.pt.old"], ["name.pt"], id="full_name_key"),
    pytest.param("name.pt", ["name.pt"], ["name.pt"], id="full_name_key_root_bucket_dir"),
    pytest.param("test/a", ["test/a/b/model.bin"], ["b/model.bin"], id="multikey"),
    pytest.param(
        "test/churn-pickle", ["test/churn-pickle", "test/churn-pickle-logs", "test/churn-pickle-report"], ["churn-pickle"], id="files_with_no_extension"
    ),
    pytest.param(
        "test/artifacts/model",
        ["test/artifacts/model/model.pkl", "test/artifacts/model/a/model.pkl", "test/artifacts/model/conda.yaml"],
        ["model.pkl", "a/model.pkl", "conda.yaml"],
        id="target_startswith_parent_folder_name",
    ),
    pytest.param("model", ["model/MLmodel"], ["MLmodel"], id="file_name_preservation"),
    pytest.param("model", ["model/model.pkl", "model/a/model.pkl", "model/conda.yaml"], ["model.pkl", "a/model.pkl", "conda.yaml"], id="target_download_path_and_name"),
    pytest.param("bar/test", ["bar/", "bar/test/", "bar/test/mock.object"], ["mock.object"], id="nested_sub_dir"),
    pytest.param("model", ["model/", "model/empty/", "model/a b+c&d=é%20.txt"], ["a b+c&d=é%20.txt"], id="odd_names"),
    # Not as KServe, which takes siblings too.
    pytest.param("model", ["model/a", "models/b", "model-old/c"], ["a"], id="siblings"),
]


@pytest.mark.parametrize(("path", "objects", "expected"), LAYOUTS)
def test_files_land_where_kserve_puts_them(s3, download, tmp_path, path, objects, expected):
    put(s3, {key: b"" if key.endswith("/") else key.encode() for key in objects})
    done = download(f"s3://foo/{path}", tmp_path / "models")
    assert done.returncode == 0, done.stderr
    assert sorted(tree(tmp_path / "models")) == sorted(expected)
    assert json.loads(done.stdout)["unverified_files"] == 0


def test_bucket_alone(s3, download, tmp_path):
    put(s3, {"a": b"a", "b/c": b"c"})
    assert download("s3://foo", tmp_path / "models").returncode == 0
    assert tree(tmp_path / "models") == {"a": b"a", "b/c": b"c"}


def test_more_objects_than_a_page(s3, download, tmp_path):
    put(s3, {f"many/{i:04}": b"%d" % i for i in range(1100)})
    assert download("s3://foo/many", tmp_path / "models").returncode == 0
    assert tree(tmp_path / "models") == {f"{i:04}": b"%d" % i for i in range(1100)}


def test_only_archive_is_unpacked_and_several_are_not(s3, download, tmp_path):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        info = tarfile.TarInfo("m/model.onnx")
        info.size = 5
        archive.addfile(info, io.BytesIO(b"model"))
    put(s3, {"one/model.tar.gz": packed.getvalue(), "two/a.tar.gz": packed.getvalue(), "two/b": b"b"})
    digest = hashlib.sha256(packed.getvalue()).hexdigest()
    done = download(f"s3://foo/one?sha256={digest}", tmp_path / "one")
    assert (done.returncode, json.loads(done.stdout)["unpacked"]) == (0, "model.tar.gz")
    assert tree(tmp_path / "one") == {"m/model.onnx": b"model"}
    assert download("s3://foo/two", tmp_path / "two").returncode == 0
    assert sorted(tree(tmp_path / "two")) == ["a.tar.gz", "b"]
    wrong = download("s3://foo/one", tmp_path / "three", "--expect_sha256", "0" * 64)
    assert (wrong.returncode, (tmp_path / "three").exists()) == (1, False)
    assert f"expected SHA-256 {'0' * 64}" in wrong.stderr and digest in wrong.stderr


def test_large_object_through_connections_that_break(s3, download, proxy, tmp_path):
    put(s3, {"large/weights.bin": LARGE})
    proxy.cuts = [None, None, ("reset", 5_000_000), ("reset", 100), ("stall", 2_000_000), ("reset", 0), ("reset", 1_000_000)]
    done = download("s3://foo/large", tmp_path / "models", AWS_ENDPOINT_URL=proxy.url, S3_READ_TIMEOUT="2")
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "models") == {"weights.bin": LARGE}
    assert json.loads(done.stdout)["retries"] >= 1


def test_multipart_object_has_no_checksum_of_the_whole(s3, download, tmp_path):
    put(s3, {})
    s3.upload_fileobj(io.BytesIO(LARGE), "foo", "multi/weights.bin")
    done = download("s3://foo/multi", tmp_path / "models")
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "models") == {"weights.bin": LARGE}
    assert json.loads(done.stdout)["unverified"] == ["weights.bin"]
    s3.put_object(Bucket="foo", Key="multi/SHA256SUMS", Body=f"{hashlib.sha256(LARGE).hexdigest()}  weights.bin\n".encode())
    done = download("s3://foo/multi", tmp_path / "summed")
    assert json.loads(done.stdout)["unverified_files"] == 0
    s3.put_object(Bucket="foo", Key="multi/SHA256SUMS", Body=f"{'0' * 64}  weights.bin\n".encode())
    assert download("s3://foo/multi", tmp_path / "wrong").returncode == 1
    assert not (tmp_path / "wrong").exists()


def test_storage_config_and_patterns(s3, endpoint, download, tmp_path):
    put(s3, {"m/model.onnx": b"m", "m/README.md": b"r", "m/sub/x.onnx": b"x"})
    config = {"type": "s3", "endpoint_url": endpoint, "access_key_id": "testkey", "secret_access_key": "testsecret", "region": "us-east-1"}
    done = download(
        "s3://foo/m",
        tmp_path / "models",
        AWS_ENDPOINT_URL=None,
        AWS_ACCESS_KEY_ID=None,
        AWS_SECRET_ACCESS_KEY=None,
        STORAGE_CONFIG=json.dumps({**config, "endpoint_url": "http://127.0.0.1:1"}),
        STORAGE_OVERRIDE_CONFIG=json.dumps({"endpoint_url": endpoint}),
        STORAGE_ALLOW_PATTERNS='["*.onnx", "*.md"]',
        STORAGE_IGNORE_PATTERNS="sub/*",
    )
    assert done.returncode == 0, done.stderr
    assert sorted(tree(tmp_path / "models")) == ["README.md", "model.onnx"]


@pytest.mark.parametrize(
    ("uri", "variables", "message"),
    [
        ("s3://no-such-bucket/m", {}, 'S3 bucket "no-such-bucket" does not exist (404 NoSuchBucket)'),
        ("s3://foo/nothing/here", {}, 'no model found in "nothing/here"'),
        ("s3://foo/m", {"AWS_ACCESS_KEY_ID": None}, "S3 authentication failed, no credentials found"),
        ("s3://foo/m", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "failed to connect to http://127.0.0.1:1: connection refused"),
        ("s3://foo/m", {"AWS_ENDPOINT_URL": "http://host.invalid"}, "failed to connect to http://host.invalid: no such host"),
        ("s3://foo/m", {"AWS_CA_BUNDLE": "/no/such.crt"}, "Failed to find ca bundle file(/no/such.crt)"),
    ],
)
def test_failures_are_one_line_and_leave_nothing(s3, download, tmp_path, uri, variables, message):
    put(s3, {"m/model.onnx": b"m"})
    done = download(uri, tmp_path / "models", **variables)
    assert done.returncode == 1
    assert message in done.stderr and uri in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "models").exists()


def test_wrong_credentials(s3, download, tmp_path, checks_credentials):
    put(s3, {"m/model.onnx": b"m"})
    wrong = download("s3://foo/m", tmp_path / "models", AWS_SECRET_ACCESS_KEY="wrong")
    anonymous = download("s3://foo/m", tmp_path / "other", awsAnonymousCredential="true")
    assert [wrong.returncode, anonymous.returncode] == ([1, 1] if checks_credentials else [0, 1])
    if checks_credentials:
        assert "S3 authentication failed, invalid AWS credentials (403 SignatureDoesNotMatch)" in wrong.stderr
        assert "access denied" in anonymous.stderr
        assert not (tmp_path / "models").exists() and not (tmp_path / "other").exists()
