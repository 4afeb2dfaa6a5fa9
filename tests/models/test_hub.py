"""The hub: its cache is used without asking, its files are checked, and its silence is short."""

import hashlib
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import constants
from safetensors.torch import save
from timm.models import get_pretrained_cfg

from bench.core.errors import WeightsError
from bench.models.weights import hub
from bench.models.weights.load import load_vit, tensors_hash, toolbox
from tests.checkpoints import headless, random_state

TAG = "test_vit.r160_in1k"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def own_hub_cache(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def point_at(monkeypatch, endpoint):
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def small_hub(monkeypatch):
    """A hub on this machine with one file; `asked` collects what it was asked for, `sent` is what it sends."""

    class Hub(BaseHTTPRequestHandler):
        asked: list[str] = []
        content = save(random_state(TAG, size=160))
        sent = content
        status = 200

        def do_HEAD(self, body=b""):
            self.asked.append(f"{self.command} {self.path}")
            found = self.path == f"/timm/{TAG}/resolve/main/model.safetensors"
            self.send_response(self.status if found or self.status != 200 else 404)
            self.send_header("Content-Length", str(len(self.sent) if found else 0))
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(self.content).hexdigest()}"')
            self.end_headers()
            if self.command == "GET" and found and self.status == 200:
                self.wfile.write(self.sent)

        do_GET = do_HEAD

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    point_at(monkeypatch, f"http://127.0.0.1:{server.server_port}")
    yield Hub
    server.shutdown()
    server.server_close()


def load(tag=TAG, size=160):
    return load_vit(tag, "pretrained", size, files={}, cache=None)


def test_a_tag_is_downloaded_once_and_then_taken_from_the_cache_without_asking(small_hub):
    _, first = load()
    assert (first.source, first.hash) == ("hub", tensors_hash(headless(random_state(TAG, size=160))))
    assert any(line.startswith("GET") for line in small_hub.asked)
    small_hub.asked.clear()
    assert load()[1] == first
    assert small_hub.asked == []


def test_a_download_that_is_not_what_the_hub_promised_is_not_kept(small_hub, tmp_path):
    small_hub.sent = bytes(reversed(small_hub.content))
    with pytest.raises(WeightsError, match="model.safetensors"):
        load()
    small_hub.sent = small_hub.content
    assert load()[1].source == "hub"


def test_a_damaged_blob_is_removed(small_hub, tmp_path):
    load()
    path = next((tmp_path / "hub").rglob("model.safetensors"))
    blob = path.resolve()
    blob.write_bytes(b"x" + blob.read_bytes()[1:])
    with pytest.raises(WeightsError, match="came damaged from the hub and was not kept"):
        hub._check(path)
    assert not blob.exists()
    assert not path.exists()


def test_a_hub_that_never_answers_is_an_error_within_ten_seconds(monkeypatch):
    assert hub.HUB_SECONDS <= 8
    monkeypatch.setattr(hub, "HUB_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        point_at(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        with pytest.raises(WeightsError) as caught:
            load()
        assert time.monotonic() - start < 3
    said = str(caught.value)
    assert "cannot be reached (" in said
    assert f"Fetch model.safetensors of timm/{TAG} elsewhere and give it with --weights FILE" in said
    assert "--preset demo needs none, and --weights random" in said


def test_a_hub_that_drips_bytes_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(hub, "HUB_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as slow:

        def drip():
            connection, _ = slow.accept()
            with connection:
                for _ in range(8):
                    time.sleep(0.3)
                    connection.sendall(b"H")

        threading.Thread(target=drip, daemon=True).start()
        point_at(monkeypatch, f"http://127.0.0.1:{slow.getsockname()[1]}")
        with pytest.raises(WeightsError, match="no answer within 1 seconds"):
            load()


def test_a_closed_door_and_an_unknown_name_are_errors_at_once(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as closing:
        port = closing.getsockname()[1]
    for endpoint, said in ((f"http://127.0.0.1:{port}", "Connection refused"), ("no-address", "unknown url type")):
        point_at(monkeypatch, endpoint)
        with pytest.raises(WeightsError, match=f"{endpoint} cannot be reached .*{said}"):
            load()


@pytest.mark.parametrize(("status", "said"), [(503, "it answers 503"), (429, "it answers 429"), (403, "refused")])
def test_a_hub_that_refuses_is_told_with_the_way_out(status, said, small_hub):
    small_hub.status = status
    with pytest.raises(WeightsError, match=f"{said}.*--weights FILE"):
        load()


def test_a_repository_without_the_file_is_told(small_hub):
    with pytest.raises(WeightsError, match="Fetch model.safetensors of timm/test_vit2.r160_in1k elsewhere"):
        load("test_vit2.r160_in1k")


def test_offline_nobody_is_asked(small_hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE forbids asking the hub.*--weights FILE"):
        load()
    assert small_hub.asked == []


def test_a_cnn_names_its_own_flag(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="Fetch model.safetensors of timm/resnet18.a1_in1k .*--cnn-weights FILE"):
        toolbox({}, None)("resnet18")


def test_a_tag_that_only_its_authors_host_names_their_address():
    cfg = get_pretrained_cfg("vit_huge_patch14_gap_224.in1k_ijepa")
    with pytest.raises(WeightsError, match=r"no hub file .*; fetch https://\S+ yourself and give it with --w"):
        hub.hub_file(cfg, "--weights")
