"""What a store, a network or a disk can do to a download: it passes or ends with one line, code 1 and an untouched destination."""

import io
import json
import os
import random
import resource
import signal
import subprocess
import tarfile
import time

import pytest
from conftest import KEYS
from front import xml_error
from serving import ROOT
from test_clouds import says
from test_s3 import LARGE, put, tree

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


@pytest.mark.parametrize("times", [1, 1000])
def test_wrong_bytes_in_one_of_several_ranges(s3, front, download, tmp_path, times):
    put(s3, {"m/weights.bin": LARGE})
    left = [times]

    def spoil(request, body):
        if not request.headers.get("Range", "").startswith("bytes=8388608-") or left[0] == 0:
            return body
        left[0] -= 1
        return bytes([body[0] ^ 1]) + body[1:]

    done = download("s3://foo/m", tmp_path / "models", AWS_ENDPOINT_URL=front(alter=spoil).url)
    if times == 1:
        assert (done.returncode, tree(tmp_path / "models")) == (0, {"weights.bin": LARGE}), done.stderr
    else:
        says(done, "s3://foo/m", '"weights.bin" does not have the crc32 checksum of the store, 3 attempts failed, upload it again')
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("times", [1, 1000])
def test_bodies_that_are_too_short(s3, front, download, tmp_path, times):
    """A store that says how little it gives, and gives that."""
    put(s3, {"m/weights.bin": LARGE})
    left = [times]

    def truncate(request, body):
        if not is_read(request) or left[0] == 0:
            return body
        left[0] -= 1
        return body[: len(body) // 2] if times == 1 else b""

    done = download("s3://foo/m", tmp_path / "models", AWS_ENDPOINT_URL=front(alter=truncate).url, S3_MAX_ATTEMPTS="2")
    if times == 1:
        assert (done.returncode, tree(tmp_path / "models"), json.loads(done.stdout)["retries"]) == (0, {"weights.bin": LARGE}, 1), done.stderr
    else:
        says(done, "s3://foo/m", "the answer ended after 0 of ", "2 attempts failed")
        assert list(tmp_path.iterdir()) == []


def test_credentials_that_expire_on_the_way(s3, front, download, tmp_path):
    put(s3, {f"m/{i}": b"%d" % i for i in range(30)})
    reads = []

    def expire(request):
        if not is_read(request):
            return None
        reads.append(request)
        return xml_error(400, "ExpiredToken") if len(reads) > 20 else None

    done = download("s3://foo/m", tmp_path / "models", AWS_ENDPOINT_URL=front(answer=expire).url)
    says(done, "s3://foo/m", "invalid AWS credentials (400 ExpiredToken)", "that they have not expired")
    assert list(tmp_path.iterdir()) == []


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


@pytest.fixture
def disk(tmp_path):
    """A file system of 16 MiB of its own."""
    path = tmp_path / "disk"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", path], capture_output=True).returncode != 0:
        pytest.skip("nobody may mount here")
    yield path
    subprocess.run(["umount", path], check=True)


def test_disk_that_fills_meanwhile(s3, front, download, disk):
    put(s3, {"m/weights.bin": LARGE[: 12 * 1024 * 1024]})

    def fill(request):
        if is_read(request):
            (disk / "others").write_bytes(bytes(10 * 1024 * 1024))

    done = download("s3://foo/m", disk / "models", AWS_ENDPOINT_URL=front(answer=fill).url)
    says(done, f"s3://foo/m to {disk / 'models'}", "no room left, give its volume more (ENOSPC)")
    assert [path.name for path in disk.iterdir()] == ["others"]


def test_archive_that_is_too_large_for_the_disk(s3, download, disk):
    # Half as large when it is packed: no bomb, and more than the disk has.
    text = LARGE[: 10 * 1024 * 1024].hex().encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        info = tarfile.TarInfo("weights.txt")
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text))
    put(s3, {"m/model.tar.gz": packed.getvalue()})
    done = download("s3://foo/m", disk / "models")
    says(done, "s3://foo/m", 'cannot unpack "model.tar.gz": entry "weights.txt" makes 20971520 bytes or more unpacked', "allow more bytes or disk")
    assert list(disk.iterdir()) == []


def test_killed_at_random_points(s3, endpoint, environment, download, tmp_path):
    """What `serve` takes for whole is whole."""
    objects = {"large.bin": LARGE, **{f"part-{i % 3}/{i}.bin": LARGE[i * 1000 : i * 1000 + 50_000] for i in range(40)}}
    put(s3, {f"m/{path}": body for path, body in objects.items()})
    env = environment(AWS_ENDPOINT_URL=endpoint, **KEYS)
    began = time.monotonic()
    assert download("s3://foo/m", tmp_path / "timed").returncode == 0
    took = time.monotonic() - began
    target = tmp_path / "models"
    kinds = []
    for kill in range(20):
        # A mounted volume is there before, and cannot be renamed.
        if kill % 2 == 0:
            target.mkdir(exist_ok=True)
        process = subprocess.Popen(["node", ROOT / "dist/main.cjs", "download", "s3://foo/m", target], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            process.wait(random.uniform(0.1, 1) * took)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.communicate()
        kinds.append(kind_of(target, objects, env))
        if kill % 4 == 3:
            subprocess.run(["rm", "-rf", target], check=True)
    assert None not in kinds and "unfinished" in kinds, kinds
    assert download("s3://foo/m", target).returncode == 0
    assert tree(target) == objects
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def kind_of(target, objects, env):
    """How the destination looks to those who come after; None for what must never be."""
    if not target.exists() or list(target.iterdir()) == []:
        return "untouched"
    if tree(target) == objects:
        return "whole"
    flags = [f"--model_dir={target}", "--http_port=0", "--enable_grpc=false"]
    done = subprocess.run(["node", ROOT / "dist/main.cjs", "serve", *flags], env=env, capture_output=True, text=True, timeout=60)
    # Of which URI is not known yet at the very first moment.
    return "unfinished" if done.returncode == 2 and "it holds an unfinished download" in done.stderr else None


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
