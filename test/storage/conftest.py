"""Real S3 servers, filled by boto3, and a proxy that breaks what passes through it."""

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import boto3
import pytest
import trustme
from botocore.config import Config
from clouds import Azurite, FakeGcs, stop
from front import Front
from ports import free_port, wait_for

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
KEYS = {"AWS_ACCESS_KEY_ID": "testkey", "AWS_SECRET_ACCESS_KEY": "testsecret", "AWS_DEFAULT_REGION": "us-east-1"}


# moto takes any credentials, and none.
CHECKS_CREDENTIALS = {"versitygw": True, "moto": False}


@pytest.fixture(scope="session", params=list(CHECKS_CREDENTIALS))
def store(request):
    return request.param


@pytest.fixture
def checks_credentials(store):
    return CHECKS_CREDENTIALS[store]


@pytest.fixture(scope="session")
def endpoint(store, tmp_path_factory):
    port = free_port()
    data = tmp_path_factory.mktemp("data")
    sidecar = tmp_path_factory.mktemp("sidecar")
    if store == "versitygw":
        command = [BIN / "versitygw", "--port", f"127.0.0.1:{port}", "--quiet", "posix", "--sidecar", sidecar, data]
        env = {**os.environ, "ROOT_ACCESS_KEY": KEYS["AWS_ACCESS_KEY_ID"], "ROOT_SECRET_KEY": KEYS["AWS_SECRET_ACCESS_KEY"]}
    else:
        command, env = [BIN / "moto_server", "-H", "127.0.0.1", "-p", str(port)], dict(os.environ)
    server = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(port)
    yield f"http://127.0.0.1:{port}"
    # Its graceful end waits for idle connections.
    stop(server)


@pytest.fixture(scope="session")
def s3(endpoint):
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket="foo")
    return client


@pytest.fixture
def environment(tmp_path):
    """Nothing but these variables; None is none."""

    def of(**variables):
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true", **variables}
        return {name: str(value) for name, value in env.items() if value is not None}

    return of


@pytest.fixture
def fetch(environment):
    """`kserve-node download` with these arguments and variables."""

    def run(*args, **variables):
        command = ["node", ROOT / "dist/main.cjs", "download", *args]
        return subprocess.run(command, env=environment(**variables), capture_output=True, text=True, timeout=120)

    return run


@pytest.fixture
def download(endpoint, fetch):
    """The same, from the S3 server."""

    def run(*args, **variables):
        return fetch(*args, **{"AWS_ENDPOINT_URL": endpoint, **KEYS, **variables})

    return run


@pytest.fixture(scope="session", params=[FakeGcs, Azurite], ids=["fake-gcs-server", "azurite"])
def cloud(request):
    started = request.param()
    yield started
    stop(started.process)


class BreakingProxy:
    """Cuts a connection, or lets it hang, after so many bytes from the server; `cuts` says after how many, one a connection."""

    def __init__(self, upstream):
        host, port = upstream.removeprefix("http://").split(":")
        self.upstream = (host, int(port))
        self.cuts = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.upstream)
            cut = self.cuts.pop(0) if self.cuts else None
            threading.Thread(target=self.pump, args=(client, server, None), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client, cut), daemon=True).start()

    def pump(self, source, target, cut):
        passed = 0
        try:
            while chunk := source.recv(65536):
                if cut is not None and passed + len(chunk) > cut[1]:
                    target.sendall(chunk[: cut[1] - passed])
                    if cut[0] == "stall":
                        time.sleep(60)
                    break
                target.sendall(chunk)
                passed += len(chunk)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


@pytest.fixture
def proxy_of():
    """Makes a BreakingProxy of a server that ends with the test."""
    opened = []

    def start(upstream):
        opened.append(BreakingProxy(upstream))
        return opened[-1]

    yield start
    for one in opened:
        one.listener.close()


@pytest.fixture
def proxy(endpoint, proxy_of):
    return proxy_of(endpoint)


@pytest.fixture
def front_of():
    """Makes a Front of a server that ends with the test."""
    opened = []

    def start(upstream, **options):
        opened.append(Front(upstream, **options))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


@pytest.fixture
def front(endpoint, front_of):
    """Makes a Front of the S3 server."""
    return lambda **options: front_of(endpoint, **options)


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    made = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    made.cert_pem.write_to_path(str(path))
    return made, path
