"""hf:// beside the hub's own client, from one server: the same files, from the commit that a revision names."""

import os
import subprocess
import sys

import pytest
from hub import COMMIT, TOKEN, Hub
from test_clouds import says
from test_s3 import tree

FILES = {
    "config.json": b"{}",
    "README.md": b"# Model",
    "onnx/model.onnx": os.urandom(20_000_000),
    "onnx/a b+c&é%20.txt": b"odd",
    "tokenizer/vocab.txt": b"a\nb\n",
}
SNAPSHOT = "import sys; from huggingface_hub import snapshot_download; snapshot_download('owner/model', revision=sys.argv[1], local_dir=sys.argv[2])"


@pytest.fixture
def hub_of():
    opened = []

    def start(files, **options):
        opened.append(Hub(files, **options))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


@pytest.mark.parametrize("revision", [None, "v1"])
def test_files_are_those_of_the_hubs_own_client(hub_of, fetch, environment, tmp_path, revision):
    hub = hub_of(FILES)
    uri = "hf://owner/model" if revision is None else f"hf://owner/model:{revision}"
    done = fetch(uri, tmp_path / "ours", HF_ENDPOINT=hub.url)
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "ours") == FILES
    # Whatever a branch points to meanwhile.
    assert all(f"/resolve/{COMMIT}/" in path for _, path, _ in hub.requests if "/resolve/" in path)
    command = [sys.executable, "-c", SNAPSHOT, revision or "main", str(tmp_path / "theirs")]
    subprocess.run(command, env=environment(HF_ENDPOINT=hub.url, HF_HUB_DISABLE_XET="1"), check=True, capture_output=True)
    theirs = {path: body for path, body in tree(tmp_path / "theirs").items() if not path.startswith(".cache/")}
    assert theirs == FILES


def test_token_opens_a_private_model_and_goes_to_no_other_host(hub_of, fetch, tmp_path):
    hub = hub_of(FILES, is_private=True)
    done = fetch("hf://owner/model", tmp_path / "models", HF_ENDPOINT=hub.url, HF_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "models") == FILES
    large = [headers for _, path, headers in hub.requests if path.startswith("/lfs/")]
    assert len(large) == 3 and all("authorization" not in map(str.lower, headers) for headers in large)


@pytest.mark.parametrize(
    ("uri", "is_private", "token", "words"),
    [
        ("hf://owner/none", False, None, ["Hugging Face resource not found (404"]),
        ("hf://owner/model:none", False, None, ["Hugging Face resource not found (404"]),
        ("hf://owner/model", True, None, ["Hugging Face authentication failed (401", "set HF_TOKEN"]),
        ("hf://owner/model", True, "hf_wrong", ["Hugging Face authentication failed (401", "set HF_TOKEN"]),
    ],
)
def test_failures_are_one_line_and_leave_nothing(hub_of, fetch, tmp_path, uri, is_private, token, words):
    hub = hub_of(FILES, is_private=is_private)
    done = fetch(uri, tmp_path / "models", HF_ENDPOINT=hub.url, HF_TOKEN=token)
    says(done, uri, *words)
    assert "hf_" not in done.stderr and not (tmp_path / "models").exists()


def test_wrong_bytes_of_large_file_storage(hub_of, fetch, tmp_path):
    hub = hub_of(dict(FILES))
    # The tree tells of the right bytes; what comes are others of the same length.
    right = FILES["onnx/model.onnx"]

    class Changing(dict):
        reads = 0

        def __getitem__(self, name):
            if name == "onnx/model.onnx":
                Changing.reads += 1
                if Changing.reads > 1:
                    return bytes(len(right))
            return super().__getitem__(name)

    hub.files = Changing(FILES)
    says(fetch("hf://owner/model", tmp_path / "models", HF_ENDPOINT=hub.url), "hf://owner/model", "sha256 checksum of the store")
    assert not (tmp_path / "models").exists()
