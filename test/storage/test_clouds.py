"""What `kserve-node download` promises for gs:// and Azure Blob Storage, from emulators that are not ours."""

import base64
import hashlib
import io
import json
import os
import tarfile
import time

import pytest
from clouds import Azurite, stop
from front import xml_error
from test_s3 import LAYOUTS, tree

LARGE = os.urandom(20 * 1024 * 1024 + 3)


def says(done, start, *words):
    """Code 1, and one line on stderr that is no progress and names the URI."""
    *progress, line = done.stderr.strip().splitlines()
    assert done.returncode == 1 and all('"Downloading"' in other for other in progress), done.stderr
    assert line.startswith(f"Cannot download {start}: "), line
    for word in words:
        assert word in line, line


@pytest.mark.parametrize(("path", "objects", "expected"), LAYOUTS)
def test_files_land_where_kserve_puts_them(cloud, fetch, tmp_path, path, objects, expected):
    bucket = cloud.bucket()
    cloud.put(bucket, {key: b"" if key.endswith("/") else key.encode() for key in objects})
    done = fetch(cloud.uri(bucket, path), tmp_path / "models", **cloud.variables())
    assert done.returncode == 0, done.stderr
    assert sorted(tree(tmp_path / "models")) == sorted(expected)
    assert json.loads(done.stdout)["unverified_files"] == 0


def test_more_objects_than_a_page(cloud, front_of, fetch, tmp_path):
    bucket = cloud.bucket()
    objects = {f"many/{i:04}": b"%d" % i for i in range(250)}
    cloud.put(bucket, objects)
    front = front_of(cloud.endpoint, rewrite=cloud.paged)
    # What is added to a path would break the signature of a key.
    uri = cloud.signed(bucket, "many") if isinstance(cloud, Azurite) else cloud.uri(bucket, "many")
    done = fetch(uri, tmp_path / "models", **{**cloud.variables(front.url), "AZURE_STORAGE_ACCESS_KEY": None})
    assert done.returncode == 0, done.stderr
    assert sum(not cloud.is_read(request) for request in front.requests) == 3
    assert tree(tmp_path / "models") == {key.removeprefix("many/"): body for key, body in objects.items()}


def test_ranges_of_one_version(cloud, front_of, fetch, tmp_path):
    bucket = cloud.bucket()
    cloud.put(bucket, {"m/weights.bin": LARGE})
    front = front_of(cloud.endpoint)
    done = fetch(cloud.uri(bucket, "m"), tmp_path / "models", **cloud.variables(front.url))
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "models") == {"weights.bin": LARGE}
    assert json.loads(done.stdout)["unverified_files"] == 0
    reads = [request for request in front.requests if cloud.is_read(request)]
    assert len(reads) == 3 and all("Range" in request.headers for request in reads)
    # A condition, or the name of the version in the path.
    versions = {request.headers["If-Match"] if isinstance(cloud, Azurite) else request.path.split("generation=")[1] for request in reads}
    assert len(versions) == 1 and None not in versions


def test_object_that_changes_while_it_is_read(cloud, front_of, fetch, tmp_path):
    bucket = cloud.bucket()
    cloud.put(bucket, {"m/weights.bin": LARGE})

    def change(request):
        if cloud.is_read(request):
            cloud.put(bucket, {"m/weights.bin": bytes(len(LARGE))})

    front = front_of(cloud.endpoint, answer=change)
    done = fetch(cloud.uri(bucket, "m"), tmp_path / "models", **cloud.variables(front.url))
    says(done, cloud.uri(bucket, "m"), cloud.changed)
    assert list(tmp_path.iterdir()) == []


def test_connections_that_break(cloud, proxy_of, fetch, tmp_path):
    bucket = cloud.bucket()
    cloud.put(bucket, {"m/weights.bin": LARGE})
    proxy = proxy_of(cloud.endpoint)
    proxy.cuts = [None, ("reset", 5_000_000), ("reset", 100), ("reset", 2_000_000), ("reset", 0), ("reset", 1_000_000)]
    done = fetch(cloud.uri(bucket, "m"), tmp_path / "models", **cloud.variables(proxy.url))
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "models") == {"weights.bin": LARGE}
    assert json.loads(done.stdout)["retries"] >= 1


@pytest.mark.parametrize("refusal", [(500, {}, b""), xml_error(503, "ServerBusy", {"Retry-After": "1"}), (429, {}, b"")], ids=["500", "503", "429"])
def test_refusals_that_pass(cloud, front_of, fetch, tmp_path, refusal):
    bucket = cloud.bucket()
    cloud.put(bucket, {"m/a": b"a"})
    left = [refusal, refusal]
    front = front_of(cloud.endpoint, answer=lambda _request: left.pop() if left else None)
    done = fetch(cloud.uri(bucket, "m"), tmp_path / "models", **cloud.variables(front.url))
    assert done.returncode == 0, done.stderr
    assert (tree(tmp_path / "models"), json.loads(done.stdout)["retries"]) == ({"a": b"a"}, 2)


@pytest.mark.parametrize("times", [1, 1000])
def test_wrong_bytes(cloud, front_of, fetch, tmp_path, times):
    bucket = cloud.bucket()
    cloud.put(bucket, {"m/weights.bin": b"right"})
    left = [times]

    def spoil(request):
        if not cloud.is_read(request) or left[0] == 0:
            return None
        left[0] -= 1
        etag = cloud.client.get_blob_client(bucket, "m/weights.bin").get_blob_properties().etag if isinstance(cloud, Azurite) else "any"
        return 200, {"ETag": etag}, b"wrong"

    front = front_of(cloud.endpoint, answer=spoil)
    done = fetch(cloud.uri(bucket, "m"), tmp_path / "models", **cloud.variables(front.url))
    if times == 1:
        assert (done.returncode, tree(tmp_path / "models")) == (0, {"weights.bin": b"right"})
    else:
        says(done, cloud.uri(bucket, "m"), "checksum of the store, 3 attempts failed")
        assert list(tmp_path.iterdir()) == []


def test_only_archive_is_unpacked(cloud, fetch, tmp_path):
    bucket = cloud.bucket()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        info = tarfile.TarInfo("m/model.onnx")
        info.size = 5
        archive.addfile(info, io.BytesIO(b"model"))
    cloud.put(bucket, {"m/model.tar.gz": packed.getvalue()})
    done = fetch(cloud.uri(bucket, "m"), tmp_path / "models", "--expect_sha256", hashlib.sha256(packed.getvalue()).hexdigest(), **cloud.variables())
    assert (done.returncode, json.loads(done.stdout)["unpacked"]) == (0, "model.tar.gz")
    assert tree(tmp_path / "models") == {"m/model.onnx": b"model"}


def test_nothing_there(cloud, fetch, tmp_path):
    bucket = cloud.bucket()
    cloud.put(bucket, {"m/a": b"a", "empty/": b""} if not isinstance(cloud, Azurite) else {"m/a": b"a"})
    (tmp_path / "models").mkdir()
    (tmp_path / "models/own").write_text("mine")
    for path in ["none", "m/a/b", "empty"]:
        done = fetch(cloud.uri(bucket, path), tmp_path / "models", **cloud.variables())
        says(done, cloud.uri(bucket, path), f'no model found in "{path}"', "(200, an empty listing), check the path")
    done = fetch(cloud.uri("models-none", "m"), tmp_path / "models", **cloud.variables())
    says(done, cloud.uri("models-none", "m"), f"{cloud.name} resource not found (404 ", "check the path")
    assert tree(tmp_path / "models") == {"own": b"mine"}


def test_object_that_goes_before_it_is_read(cloud, front_of, fetch, tmp_path):
    bucket = cloud.bucket()
    cloud.put(bucket, {"m/a": b"a"})

    def remove(request):
        if cloud.is_read(request):
            client = cloud.client
            client.get_blob_client(bucket, "m/a").delete_blob() if isinstance(cloud, Azurite) else client.bucket(bucket).blob("m/a").delete()

    front = front_of(cloud.endpoint, answer=remove)
    done = fetch(cloud.uri(bucket, "m"), tmp_path / "models", **cloud.variables(front.url))
    says(done, cloud.uri(bucket, "m"), cloud.changed)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cloud", [Azurite], indirect=True, ids=["azurite"])
def test_credentials_of_azure(cloud, fetch, tmp_path):
    bucket = cloud.bucket()
    cloud.put(bucket, {"m/a": b"a"})
    uri = cloud.uri(bucket, "m")
    wrong = base64.b64encode(b"wrong" * 12).decode()
    for key in [wrong, None]:
        done = fetch(uri, tmp_path / "models", **{**cloud.variables(), "AZURE_STORAGE_ACCESS_KEY": key})
        says(done, uri, "Azure access denied (403 ", "set AZURE_STORAGE_ACCESS_KEY")
    anonymous = {**cloud.variables(), "AZURE_STORAGE_ACCESS_KEY": None}
    done = fetch(cloud.signed(bucket, "m", hours=-1), tmp_path / "models", **anonymous)
    says(done, uri, "Azure access denied (403 ")
    assert "sig=" not in done.stderr
    assert list(tmp_path.iterdir()) == []
    done = fetch(cloud.signed(bucket, "m"), tmp_path / "models", **anonymous)
    assert done.returncode == 0, done.stderr
    assert "sig=" not in done.stdout and tree(tmp_path / "models") == {"a": b"a"}


def test_identity_of_a_workload_on_azure(authority, front_of, fetch, tmp_path):
    """A client's secret is exchanged for a token, which Azurite takes over TLS only; it checks all of it but its signature."""
    made, ca = authority
    issued = made.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    azurite = Azurite("--oauth", "basic", "--cert", str(tmp_path / "cert.pem"), "--key", str(tmp_path / "key.pem"), scheme="https")
    try:
        now = int(time.time())
        claims = {"aud": "https://storage.azure.com", "iss": "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/", "nbf": now - 60, "iat": now - 60}
        asked = []

        def token(audience, seconds):
            parts = [{"alg": "RS256", "typ": "JWT"}, {**claims, "aud": audience, "exp": now + seconds}]
            encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
            return ".".join([*encoded, base64.urlsafe_b64encode(b"signature").decode()])

        def answer(request):
            asked.append((request.path, request.body.decode()))
            if "client_secret=right" not in asked[-1][1]:
                return 401, {"Content-Type": "application/json"}, b'{"error":"invalid_client"}'
            body = {"token_type": "Bearer", "expires_in": 3600, "access_token": token("https://storage.azure.com", 3600)}
            return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()

        login = front_of("http://127.0.0.1:1", answer=answer)
        variables = {
            "AZURE_STORAGE_BLOB_ENDPOINT": f"{azurite.endpoint}/{azurite.account}",
            "SSL_CERT_FILE": ca,
            "AZURE_AUTHORITY_HOST": login.url,
            "AZ_TENANT_ID": "tenant",
            "AZ_CLIENT_ID": "client",
        }
        uri = azurite.uri("models", "m")
        # Let in: only the container is missing.
        says(fetch(uri, tmp_path / "models", **variables, AZ_CLIENT_SECRET="right"), uri, "Azure resource not found (404 ContainerNotFound)")
        assert asked[0][0] == "/tenant/oauth2/v2.0/token" and "storage.azure.com%2F.default" in asked[0][1]
        says(fetch(uri, tmp_path / "models", **variables, AZ_CLIENT_SECRET="wrong"), uri, "Azure authentication failed (401), verify AZ_TENANT_ID")
        assert not (tmp_path / "models").exists()
    finally:
        stop(azurite.process)
