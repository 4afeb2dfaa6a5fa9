"""hf:// addresses against a hub on this machine: the client's own download, and the hash that the hub promised."""

import hashlib
import http.server
import io
import threading
import zipfile

import pytest
from huggingface_hub import constants

from bench.core.errors import DataError, UsageError
from bench.data.obtain.download import download
from bench.data.obtain.hub import parse_hub_address

COMMIT = "0123456789abcdef0123456789abcdef01234567"
URL = "hf://somebody/pictures/sets/koniq10k.zip"


def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


class Hub(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self._answer(with_body=False)

    def do_GET(self):
        self._answer(with_body=True)

    def _answer(self, *, with_body):
        hub = self.server
        hub.asked.append(f"{self.command} {self.path}")
        if self.path != f"/datasets/somebody/pictures/resolve/{hub.revision}/sets/koniq10k.zip":
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(hub.sent)))
        self.send_header("X-Repo-Commit", COMMIT)
        if hub.etag:
            self.send_header("ETag", f'"{hub.etag}"')
        self.end_headers()
        if with_body:
            self.wfile.write(hub.sent)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def hub(monkeypatch, tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.sent = zipped({"koniq10k/labels.csv": b"a,b", "koniq10k/512x384/1.jpg": b"picture"})
    server.etag, server.asked, server.revision = hashlib.sha256(server.sent).hexdigest(), [], "main"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    yield server
    server.shutdown()
    server.server_close()


def fetch(tmp_path, url=URL):
    return download("koniq10k", {"koniq10k": {"path": str(tmp_path / "k")}}, urls=[url])


def test_a_file_of_the_hub_is_fetched_unpacked_and_not_fetched_again(hub, tmp_path):
    assert "2 files unpacked" in fetch(tmp_path)[0]
    assert (tmp_path / "k/koniq10k/512x384/1.jpg").read_bytes() == b"picture"
    assert not list((tmp_path / "k").rglob("*.zip"))
    asked = len(hub.asked)
    assert "fetched and unpacked before" in fetch(tmp_path)[0]
    assert len(hub.asked) == asked


def test_a_small_file_is_checked_by_the_hash_that_git_gives_it(hub, tmp_path):
    whole = hub.sent
    hub.etag = hashlib.sha1(b"blob %d\0" % len(whole) + whole).hexdigest()
    hub.sent = bytes(reversed(whole))
    with pytest.raises(DataError, match="has the hash"):
        fetch(tmp_path)
    hub.sent = whole
    assert "2 files unpacked" in fetch(tmp_path)[0]


def test_what_the_hub_did_not_promise_is_not_kept(hub, tmp_path):
    hub.sent = bytes(reversed(hub.sent))
    with pytest.raises(DataError, match="nothing of it was kept"):
        fetch(tmp_path)
    assert not list((tmp_path / "k").rglob("*.zip"))


def test_a_pin_of_the_users_own_goes_before_what_the_hub_says(hub, tmp_path):
    with pytest.raises(DataError, match="not " + "0" * 64):
        fetch(tmp_path, f"{URL}#sha256={'0' * 64}")
    sha = hashlib.sha256(hub.sent).hexdigest()
    assert "2 files unpacked" in fetch(tmp_path, f"{URL}#sha256={sha}")[0]


def test_a_hub_that_names_no_hash_is_not_trusted(hub, tmp_path):
    hub.etag = "version-7"
    with pytest.raises(DataError, match="names no hash of this file: add #sha256=HEX"):
        fetch(tmp_path)


def test_a_file_that_is_not_there_is_an_error_in_one_line(hub, tmp_path):
    with pytest.raises(DataError, match="hf://somebody/pictures/other.zip: ") as caught:
        fetch(tmp_path, "hf://somebody/pictures/other.zip")
    assert "\n" not in str(caught.value)


def test_a_revision_is_asked_for(hub, tmp_path):
    hub.revision = "v2"
    assert "2 files unpacked" in fetch(tmp_path, URL.replace("pictures/", "pictures@v2/"))[0]


def test_both_spellings_of_a_repository_of_data_are_understood():
    assert parse_hub_address("hf://datasets/a/b/c.zip") == parse_hub_address("hf://a/b/c.zip")
    assert parse_hub_address("hf://a/b@main/c/d.zip").revision == "main"


@pytest.mark.parametrize("url", ["hf://a/b", "hf://a/b/", "hf://a", "hf://a/b/../c.zip", "hf://a/b/c.zip?x=1"])
def test_an_address_without_a_file_is_refused(url, tmp_path):
    with pytest.raises(UsageError, match="write hf://OWNER/REPO/FILE"):
        fetch(tmp_path, url)
