"""
The cases of the tests of KServe's own initializer (python/storage/test), each under its name there, through the program. Those of layouts are
`LAYOUTS` in test_s3.py, which S3, GCS and Azure run; what the SDK is told (test_get_S3_config) is test/unit/storage/s3-settings.test.ts.
"""

import io
import json
import tarfile
import zipfile

import pytest
from clouds import Azurite, FakeGcs
from front import xml_error
from test_clouds import says
from test_s3 import put, tree


def tar_gz():
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("model.pth"))
    return packed.getvalue()


def zipped():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("model.pth", b"")
    return packed.getvalue()


TAR, ZIP, EMPTY = tar_gz(), zipped(), b""
OCTETS = "application/octet-stream"
MODEL = {"model.pth": b""}
# test_storage.py: path and query, status, Content-Type, body, files that are to be there or what stands in the one line.
WEB = [
    ("http_uri_path", "/model.joblib", 200, OCTETS, EMPTY, {"model.joblib": b""}),
    ("http_uri_path with a query", "/model.joblib?foo=bar", 200, OCTETS, EMPTY, {"model.joblib": b""}),
    *[(f"tar.gz {kind}", "/model.tar.gz", 200, f"application/{kind}", TAR, MODEL) for kind in ("x-tar", "x-gtar", "x-gzip", "gzip")],
    *[(f"tar.gz {kind} with a query", "/model.tar.gz?foo=bar", 200, f"application/{kind}", TAR, MODEL) for kind in ("x-tar", "x-gtar", "x-gzip", "gzip")],
    ("tar.gz zip", "/model.tar.gz", 200, "application/zip", TAR, 'expected an archive (tar.gz), got Content-Type "application/zip" (200)'),
    *[(f"zip {kind}", "/model.zip", 200, f"application/{kind}", ZIP, MODEL) for kind in ("zip", "x-zip-compressed", "zip-compressed")],
    *[(f"zip {kind} with a query", "/model.zip?foo=bar", 200, f"application/{kind}", ZIP, MODEL) for kind in ("zip", "x-zip-compressed", "zip-compressed")],
    *[(f"zip {kind} in a query", "/download?path=/20210530/model.zip", 200, f"application/{kind}", ZIP, MODEL) for kind in ("zip", "x-zip-compressed")],
    ("not found", "/model.joblib", 404, "text/plain", b"", "resource not found (404), check the path"),
    ("unauthenticated", "/model.joblib", 401, "text/plain", b"", "authentication failed (401), set 127.0.0.1-headers"),
    ("denied", "/model.joblib", 403, "text/plain", b"", "access denied (403), set 127.0.0.1-headers"),
    ("other status", "/model.joblib", 418, "text/plain", b"", "failed with status code 418"),
    ("a page", "/test.model", 200, "text/html", b"<html>", 'got Content-Type "text/html" (200)'),
    ("no name", "/test/", 200, OCTETS, b"", 'expected the URL of a file, got one that ends in "/"'),
    ("broken zip", "/model.zip", 200, "application/zip", b"no archive", 'cannot unpack "model.zip": it is damaged'),
    ("broken tar", "/model.tgz", 200, "application/gzip", b"no archive", 'cannot unpack "model.tgz": it is damaged'),
]


@pytest.mark.parametrize(("path", "status", "kind", "body", "expected"), [pytest.param(*case[1:], id=case[0]) for case in WEB])
def test_http_uri_paths(front_of, fetch, tmp_path, path, status, kind, body, expected):
    made = front_of("http://127.0.0.1:1", answer=lambda _request: (status, {"Content-Type": kind}, body))
    done = fetch(f"{made.url}{path}", tmp_path / "models")
    if isinstance(expected, str):
        assert (done.returncode, len(done.stderr.strip().splitlines())) == (1, 1), done.stderr
        assert expected in done.stderr
        assert not (tmp_path / "models").exists()
    else:
        assert done.returncode == 0, done.stderr
        assert tree(tmp_path / "models") == expected


def test_http_headers_of_a_host(front_of, fetch, tmp_path):
    made = front_of("http://127.0.0.1:1", answer=lambda request: (200 if request.headers["X-Key"] == "secret" else 401, {"Content-Type": OCTETS}, b"m"))
    done = fetch(f"{made.url}/model.joblib", tmp_path / "models", **{"127.0.0.1-headers": json.dumps({"X-Key": "secret"})})
    assert (done.returncode, tree(tmp_path / "models")) == (0, {"model.joblib": b"m"}), done.stderr


def test_storage_local_path(fetch, tmp_path):
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub/model.pth").write_bytes(b"m")
    for index, uri in enumerate([f"file://{source}", str(source)]):
        # test_download_creates_output_directories
        target = tmp_path / f"nested/{index}"
        assert fetch(uri, target).returncode == 0
        assert (target / "sub/model.pth").read_bytes() == b"m"
    # test_local_path_with_out_dir_exist: the path is the destination.
    assert fetch(f"file://{source}", source).returncode == 0
    assert (source / "sub/model.pth").read_bytes() == b"m" and sorted(path.name for path in source.iterdir()) == ["sub"]


def test_storage_local_path_exception(fetch, tmp_path):
    says(fetch("file:///some/random/path", tmp_path / "models"), "file:///some/random/path", "/some/random/path does not exist (ENOENT)")


def test_download_multiple_local_files(fetch, tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.pth").write_text(name)
    done = fetch(tmp_path / "a", tmp_path / "one", tmp_path / "b", tmp_path / "two")
    assert [json.loads(line)["destination"] for line in done.stdout.splitlines()] == [str(tmp_path / "one"), str(tmp_path / "two")]
    assert ((tmp_path / "one/a.pth").read_text(), (tmp_path / "two/b.pth").read_text()) == ("a", "b")


def test_download_partial_failure_raises_exception(fetch, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/model.pth").write_text("a")
    done = fetch(tmp_path / "a", tmp_path / "one", tmp_path / "none", tmp_path / "two")
    says(done, str(tmp_path / "none"), "does not exist (ENOENT)")
    assert not (tmp_path / "two").exists()


@pytest.mark.parametrize("args", [[], ["file:///tmp"], ["file:///tmp", "one", "file:///tmp"]], ids=["none", "no destination", "unequal"])
def test_download_mismatched_list_lengths_raises_error(fetch, args):
    done = fetch(*args)
    assert done.returncode == 2 and done.stderr.startswith("expected pairs of SRC and DEST"), done.stderr


@pytest.mark.parametrize("uri", ["hf://", "hf://repo_only", "hf:///model_only", "hf://repo/:hash_value"])
def test_hf_invalid_uri(fetch, tmp_path, uri):
    says(fetch(uri, tmp_path / "models"), uri, "expected hf://OWNER/MODEL[:REVISION]")


def test_azure_hosts(front_of, fetch, tmp_path):
    """test_download_azure_blob_called_with_matching_uri, test_blob_no_prefix: every host of blobs is one."""
    listing = b"<EnumerationResults><Blobs></Blobs></EnumerationResults>"
    made = front_of("http://127.0.0.1:1", answer=lambda _request: (200, {"Content-Type": "application/xml"}, listing))
    for host in ["accountname.blob.core.windows.net", "accountname.z20.blob.storage.azure.net", "accountname.z2.blob.storage.azure.net"]:
        for path in ["container/some/blob/", "container/"]:
            uri = f"https://{host}/{path}"
            says(fetch(uri, tmp_path / "models", AZURE_STORAGE_BLOB_ENDPOINT=made.url), uri, 'of container "container" (200, an empty listing)')


@pytest.mark.parametrize("cloud", [FakeGcs, Azurite], indirect=True, ids=["fake-gcs-server", "azurite"])
def test_exact_object_passes_patterns_and_others_do_not(cloud, fetch, tmp_path):
    bucket = cloud.bucket()
    cloud.put(bucket, {"m/a.bin": b"a", "m/b.json": b"b"})
    patterns = {"STORAGE_ALLOW_PATTERNS": '["*.json"]'}
    assert fetch(cloud.uri(bucket, "m"), tmp_path / "some", **patterns, **cloud.variables()).returncode == 0
    assert fetch(cloud.uri(bucket, "m/a.bin"), tmp_path / "exact", **patterns, **cloud.variables()).returncode == 0
    assert (tree(tmp_path / "some"), tree(tmp_path / "exact")) == ({"b.json": b"b"}, {"a.bin": b"a"})


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("AccessDenied", 403, ["access denied to S3 resource", "verify permissions"]),
        ("InvalidAccessKeyId", 403, ["S3 authentication failed, invalid AWS credentials"]),
        ("SignatureDoesNotMatch", 403, ["S3 authentication failed, invalid AWS credentials"]),
        ("NoSuchBucket", 404, ['S3 bucket "foo" does not exist']),
        ("PermanentRedirect", 301, ["check AWS_DEFAULT_REGION"]),
    ],
)
@pytest.mark.parametrize("store", ["moto"], indirect=True)
def test_s3_errors(s3, front, download, tmp_path, code, status, words):
    """test_storage_s3_exception, test_no_permission_buckets and storage_errors.py."""
    put(s3, {"m/a": b"a"})
    made = front(answer=lambda _request: xml_error(status, code))
    says(download("s3://foo/m", tmp_path / "models", AWS_ENDPOINT_URL=made.url), "s3://foo/m", f"({status} {code}", *words)
    assert not (tmp_path / "models").exists()
