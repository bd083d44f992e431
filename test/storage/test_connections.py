"""How stores are reached: TLS, hosts, regions, roles, and connections that end. The front sees what is sent; signatures hold only where hosts are kept."""

import os
import ssl

import pytest
from front import xml_error
from test_s3 import put, tree

MODEL = {"m/model.onnx": b"model" * 1000, "m/b": b"b", "m/c": b"c"}
EXPECTED = {"model.onnx": b"model" * 1000, "b": b"b", "c": b"c"}
PRELOAD = "data:text/javascript,import dns from 'node:dns'; const lookup = dns.lookup; dns.lookup = (host, ...rest) => lookup('127.0.0.1', ...rest);"


@pytest.fixture
def tls_front(authority, front):
    def start(name="localhost", **options):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority[0].issue_cert(name).configure_cert(context)
        names = []
        context.sni_callback = lambda _socket, asked, _context: names.append(asked)
        made = front(tls=context, **options)
        made.names = names
        return made

    return start


def test_tls_with_a_ca_bundle(s3, authority, tls_front, download, tmp_path):
    put(s3, {f"m/{i}": b"%d" % i for i in range(100)})
    front = tls_front()
    variables = {"AWS_ENDPOINT_URL": f"https://localhost:{front.port}", "AWS_CA_BUNDLE": str(authority[1])}
    done = download("s3://foo/m", tmp_path / "models", **variables)
    assert done.returncode == 0, done.stderr
    assert len(tree(tmp_path / "models")) == 100
    assert set(front.names) == {"localhost"}
    # The listing's and the sixteen of the reads: kept, not made anew for each object.
    assert len(front.resumed) <= 18
    mounted = {"CA_BUNDLE_CONFIGMAP_NAME": "global-ca-bundle", "CA_BUNDLE_VOLUME_MOUNT_POINT": str(tmp_path)}
    (tmp_path / "cabundle.crt").write_bytes(authority[1].read_bytes())
    assert download("s3://foo/m", tmp_path / "mounted", **{**variables, **mounted, "AWS_CA_BUNDLE": None}).returncode == 0


def test_tls_sessions_are_resumed(s3, authority, tls_front, download, tmp_path):
    put(s3, {f"m/{i}": b"%d" % i for i in range(60)})
    front = tls_front()
    front.closes_silently = True
    done = download("s3://foo/m", tmp_path / "models", AWS_ENDPOINT_URL=f"https://localhost:{front.port}", AWS_CA_BUNDLE=str(authority[1]))
    assert done.returncode == 0, done.stderr
    assert len(tree(tmp_path / "models")) == 60
    assert True in front.resumed


@pytest.mark.parametrize(("name", "variables"), [("localhost", {}), ("elsewhere.example", {"AWS_CA_BUNDLE": "trusted"})])
def test_tls_that_is_not_trusted(s3, authority, tls_front, download, tmp_path, name, variables):
    put(s3, MODEL)
    front = tls_front(name)
    variables = {key: str(authority[1]) for key in variables}
    done = download("s3://foo/m", tmp_path / "models", AWS_ENDPOINT_URL=f"https://localhost:{front.port}", **variables)
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (1, 1), done.stderr
    assert "has a certificate that is not trusted" in done.stderr and "AWS_CA_BUNDLE" in done.stderr
    assert not (tmp_path / "models").exists()
    done = download("s3://foo/m", tmp_path / "models", AWS_ENDPOINT_URL=f"https://localhost:{front.port}", S3_VERIFY_SSL="0", **variables)
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "models") == EXPECTED


def test_connections_that_end_between_requests_cost_no_retry(s3, front, download, tmp_path):
    put(s3, {f"m/{i}": b"%d" % i for i in range(100)})
    made = front()
    made.closes_silently = True
    done = download("s3://foo/m", tmp_path / "models", AWS_ENDPOINT_URL=f"http://127.0.0.1:{made.port}")
    assert done.returncode == 0, done.stderr
    assert '"retries":0' in done.stdout
    assert len(tree(tmp_path / "models")) == 100


@pytest.mark.parametrize("store", ["moto"], indirect=True)
def test_virtual_hosts(s3, front, download, tmp_path):
    put(s3, MODEL)
    made = front()
    variables = {"AWS_ENDPOINT_URL": f"http://s3.example:{made.port}", "S3_USER_VIRTUAL_BUCKET": "true", "NODE_OPTIONS": f"--import={PRELOAD.replace(' ', '%20')}"}
    done = download("s3://foo/m", tmp_path / "models", **variables)
    assert done.returncode == 0, done.stderr
    assert {request.headers["Host"] for request in made.requests} == {f"foo.s3.example:{made.port}"}
    assert tree(tmp_path / "models") == EXPECTED


@pytest.mark.parametrize("store", ["moto"], indirect=True)
@pytest.mark.parametrize(
    "refusal",
    [
        xml_error(301, "PermanentRedirect", {"x-amz-bucket-region": "eu-west-1"}),
        xml_error(400, "AuthorizationHeaderMalformed", extra="<Region>eu-west-1</Region>"),
    ],
)
def test_bucket_of_another_region(s3, front, download, tmp_path, refusal):
    put(s3, MODEL)
    made = front(answer=lambda request: None if "/eu-west-1/s3/" in request.headers["Authorization"] else refusal)
    done = download("s3://foo/m", tmp_path / "models", AWS_ENDPOINT_URL=f"http://127.0.0.1:{made.port}")
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "models") == EXPECTED
    assert sum("/us-east-1/s3/" in request.headers["Authorization"] for request in made.requests) == 1


@pytest.mark.parametrize("store", ["moto"], indirect=True)
def test_role_of_a_service_account(s3, endpoint, front, download, tmp_path):
    put(s3, MODEL)
    made = front()
    (tmp_path / "token").write_text("header.payload.signature")
    role = {"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/models", "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"), "AWS_ENDPOINT_URL_STS": endpoint}
    none = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    done = download("s3://foo/m", tmp_path / "models", AWS_ENDPOINT_URL=f"http://127.0.0.1:{made.port}", **role, **none)
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "models") == EXPECTED
    assert all(request.headers["x-amz-security-token"] for request in made.requests)
    missing = download("s3://foo/m", tmp_path / "none", **{**role, **none, "AWS_WEB_IDENTITY_TOKEN_FILE": "/no/such/token"})
    assert (missing.returncode, len(missing.stderr.strip().splitlines())) == (1, 1), missing.stderr
    assert "S3 authentication failed, no credentials found" in missing.stderr


@pytest.mark.parametrize("store", ["moto"], indirect=True)
def test_nothing_is_signed_for_the_anonymous(s3, front, download, tmp_path):
    put(s3, {"m/large": os.urandom(9 * 1024 * 1024)})
    s3.put_object_acl(Bucket="foo", Key="m/large", ACL="public-read")
    made = front()
    variables = {"awsAnonymousCredential": "true", "AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    done = download("s3://foo/m", tmp_path / "models", AWS_ENDPOINT_URL=f"http://127.0.0.1:{made.port}", **variables)
    assert done.returncode == 0, done.stderr
    assert {request.command for request in made.requests} == {"GET", "HEAD"}
    assert all(request.headers["Authorization"] is None for request in made.requests)
