"""`kserve-node serve --model_dir=s3://…` from servers that are not ours: the cache, new versions, and starts that fail."""

import json
import os
import subprocess

import pytest
from conftest import KEYS
from serving import IRIS, OTHER, ROOT, Load, Server
from test_s3 import put


@pytest.fixture
def variables(endpoint, environment, tmp_path):
    """Of a server that writes below `tmp` alone."""
    (tmp_path / "tmp").mkdir()

    def of(**others):
        return environment(**{"AWS_ENDPOINT_URL": endpoint, "TMPDIR": tmp_path / "tmp", **KEYS, **others})

    return of


@pytest.fixture
def serve(variables, tmp_path):
    started = []

    def start(*flags, **others):
        server = Server(*flags, env=variables(**others), log=tmp_path / f"server-{len(started)}.log")
        started.append(server)
        return server.wait_for(server.is_ready)

    yield start
    for server in started:
        server.process.kill()
        server.process.wait(10)


def files_in(path):
    return sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file() and "node-compile-cache" not in file.parts)


def test_model_is_served_and_goes_with_the_process(s3, serve, tmp_path):
    put(s3, {"m/1/model.onnx": IRIS})
    server = serve("--model_dir=s3://foo/m")
    assert (server.outputs(), server.version()) == (["label", "probabilities"], "1 READY")
    assert len(files_in(tmp_path / "tmp")) > 0
    assert server.stop() == 0
    assert files_in(tmp_path / "tmp") == []


def test_second_start_with_a_cache_reads_the_listing_alone(s3, front, serve, tmp_path):
    put(s3, {"m/1/model.onnx": IRIS, "m/1/labels.txt": b"a b c"})
    made = front()
    flags = ["--model_dir=s3://foo/m", f"--model_cache={tmp_path / 'cache'}"]
    assert serve(*flags, AWS_ENDPOINT_URL=made.url).stop() == 0
    reads = [request.path for request in made.requests if "list-type=2" not in request.path]
    assert sorted(path.split("?")[0] for path in reads) == ["/foo/m/1/labels.txt", "/foo/m/1/model.onnx"]
    made.requests.clear()
    second = serve(*flags, AWS_ENDPOINT_URL=made.url)
    assert second.outputs() == ["label", "probabilities"]
    assert [request.command for request in made.requests] == ["GET"] and "list-type=2" in made.requests[0].path
    assert second.stop() == 0
    # Another content is another entry.
    put(s3, {"m/1/model.onnx": OTHER})
    assert serve(*flags, AWS_ENDPOINT_URL=made.url).outputs() == ["output_label", "output_probability"]


@pytest.mark.parametrize("extra", [[], ["--isolation=process"], ["--model_cache=cache"]], ids=["inline", "process", "cache"])
def test_new_version_switches_under_load_and_a_bad_one_never_does(s3, serve, tmp_path, extra):
    put(s3, {"m/1/model.onnx": IRIS})
    flags = [flag.replace("=cache", f"={tmp_path / 'cache'}") for flag in extra]
    server = serve("--model_dir=s3://foo/m", "--model_poll=0.2s", *flags)
    load = Load(server)
    server.wait_for(load.more())
    s3.put_object(Bucket="foo", Key="m/2/model.onnx", Body=OTHER)
    server.wait_for(lambda: server.version() == "2 READY").wait_for(load.more())
    assert server.outputs() == ["output_label", "output_probability"]
    s3.put_object(Bucket="foo", Key="m/3/model.onnx", Body=b"this is no model")
    failed = 'kserve_node_model_updates_total{model="iris",outcome="failed"}'
    server.wait_for(lambda: server.metric(failed) >= 1).wait_for(load.more())
    assert (server.outputs(), server.version()) == (["output_label", "output_probability"], "2 READY")
    s3.delete_object(Bucket="foo", Key="m/3/model.onnx")
    s3.put_object(Bucket="foo", Key="m/4/model.onnx", Body=IRIS)
    server.wait_for(lambda: server.version() == "4 READY").wait_for(load.more())
    assert load.stop() == []
    assert server.outputs() == ["label", "probabilities"]
    assert server.stop() == 0


def test_models_that_appear_in_a_repository_are_served(s3, serve):
    put(s3, {"models/iris/1/model.onnx": IRIS, "models/other/1/model.onnx": OTHER})
    server = serve("--model_dir=s3://foo/models", "--model_poll=0.2s")
    load = Load(server)
    s3.put_object(Bucket="foo", Key="models/late/1/model.onnx", Body=OTHER)
    server.wait_for(lambda: server.call("/v2/models/late/ready")[0] == 200).wait_for(load.more())
    assert load.stop() == []


IN_A_POD = """
mkdir -p "$1/dev" && mount --rbind /dev "$1/dev" && mount -t tmpfs tmpfs /dev
for name in null zero full random urandom; do : > /dev/$name; mount --bind "$1/dev/$name" /dev/$name; done
: > /dev/termination-log
shift 2
"$@"
code=$?
cat /dev/termination-log > "$LOG_COPY"
exit $code
"""


@pytest.fixture
def pod(variables, tmp_path):
    """Runs the program where /dev/termination-log is, as in a container of a pod; code, stderr and what stands there."""

    def run(*args, **others):
        env = variables(LOG_COPY=tmp_path / "termination-log", **others)
        command = ["unshare", "--mount", "--map-root-user", "sh", "-c", IN_A_POD, "sh", tmp_path / "mounts", "--", "node", ROOT / "dist/main.cjs", *args]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
        return done.returncode, done.stderr, (tmp_path / "termination-log").read_text()

    return run


@pytest.mark.parametrize(
    ("uri", "others", "words"),
    [
        ("s3://foo/none/model.onnx", {}, ['no model found in "none/model.onnx"', "(200, an empty listing)", "check the path"]),
        ("s3://no-such-bucket/m", {}, ["(404 NoSuchBucket)", "check its name and AWS_ENDPOINT_URL"]),
        ("s3://foo/m", {"AWS_ACCESS_KEY_ID": None}, ["no credentials found", "set AWS_ACCESS_KEY_ID"]),
        ("gopher://foo/m", {}, ["expected a URI of a known scheme"]),
    ],
    ids=["key", "bucket", "credentials", "scheme"],
)
def test_reason_of_a_failure_is_the_termination_log(s3, pod, tmp_path, uri, others, words):
    put(s3, {"m/model.onnx": IRIS})
    target = tmp_path / "mnt/models"
    target.mkdir(parents=True)
    code, stderr, reason = pod("download", uri, target, **others)
    assert (code, stderr) == (1, reason)
    assert reason.startswith(f"Cannot download {uri}: ") and reason.count("\n") == 1, reason
    assert all(word in reason for word in words), reason
    assert list(target.iterdir()) == []
    code, stderr, served = pod("serve", f"--model_dir={uri}", "--http_port=0", "--enable_grpc=false", **others)
    assert (code, served, stderr.splitlines()[-1]) == (2, reason, reason.strip())
    assert files_in(tmp_path / "tmp") == []


def test_unfinished_download_is_refused(s3, environment, endpoint, front, tmp_path):
    put(s3, {"m/model.onnx": IRIS, "m/weights.bin": os.urandom(1_000_000)})
    target = tmp_path / "models"
    target.mkdir()
    killed = []

    def kill(request):
        if request.path.startswith("/foo/m/weights.bin"):
            killed[0].kill()

    made = front(answer=kill)
    env = environment(AWS_ENDPOINT_URL=made.url, **KEYS)
    killed.append(subprocess.Popen(["node", ROOT / "dist/main.cjs", "download", "s3://foo/m", target], env=env))
    assert killed[0].wait(60) == -9
    command = ["node", ROOT / "dist/main.cjs", "serve", f"--model_dir={target}", "--http_port=0", "--enable_grpc=false"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "it holds an unfinished download of s3://foo/m, begun " in done.stderr and "run it again, which cleans up" in done.stderr, done.stderr
