"""Downloads against a local server that breaks off in the middle, and archives that try to do harm."""

import hashlib
import http.server
import io
import re
import socket
import tarfile
import threading
import zipfile

import pytest

from bench.core.errors import BenchError, DataError, UsageError
from bench.data.obtain import unpack as unpacking
from bench.data.obtain.download import TRIES, Address, addresses_of, download, fetch_file
from bench.data.obtain.unpack import unpack

BODY = bytes(range(256)) * 4_000


class Server(http.server.ThreadingHTTPServer):
    """Serves `body`; breaks off the first `breaks` answers half way; knows ranges or not."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.breaks, self.ranges, self.tag, self.asked = BODY, 0, True, '"one"', []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/set.bin"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        if self.path != "/set.bin":
            self.send_error(404)
            return
        fresh = self.headers.get("If-Range", server.tag) == server.tag
        start = int(re.match(r"bytes=(\d+)-", wanted)[1]) if wanted and server.ranges and fresh else 0
        if start >= len(server.body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.body)}")
            self.end_headers()
            return
        part = server.body[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("ETag", server.tag)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.body) - 1}/{len(server.body)}")
        self.end_headers()
        if server.breaks:
            server.breaks -= 1
            self.wfile.write(part[: len(part) // 2])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self.wfile.write(part)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def address(server, body=BODY, **more):
    return Address(server.url, hashlib.sha256(body).hexdigest(), **more)


def pause(_seconds):
    """No waiting in tests."""


def fetched(server, tmp_path, **more):
    return fetch_file(address(server, **more), tmp_path / "set.bin", pause=pause)


def test_a_download_that_breaks_off_goes_on_where_it_stopped(server, tmp_path):
    server.breaks = 3
    assert fetched(server, tmp_path).read_bytes() == BODY
    assert server.asked == [None, "bytes=512000-", "bytes=768000-", "bytes=896000-"]


def test_a_server_without_ranges_is_asked_again_from_the_start(server, tmp_path):
    server.breaks, server.ranges = 2, False
    assert fetched(server, tmp_path).read_bytes() == BODY
    assert len(server.asked) == 3


def test_a_later_call_resumes_what_an_earlier_one_left(server, tmp_path):
    (tmp_path / "set.bin.part").write_bytes(BODY[:1000])
    assert fetched(server, tmp_path).read_bytes() == BODY
    assert server.asked == ["bytes=1000-"]


def test_a_part_of_an_older_version_is_not_continued(server, tmp_path):
    (tmp_path / "set.bin.part").write_bytes(b"older version")
    (tmp_path / "set.bin.part.tag").write_text('"zero"')
    assert fetched(server, tmp_path).read_bytes() == BODY


def test_a_part_that_is_already_whole_is_only_checked(server, tmp_path):
    (tmp_path / "set.bin.part").write_bytes(BODY)
    assert fetched(server, tmp_path).read_bytes() == BODY


def test_a_finished_file_is_not_fetched_again(server, tmp_path):
    fetched(server, tmp_path)
    asked = len(server.asked)
    fetched(server, tmp_path)
    assert len(server.asked) == asked


@pytest.mark.parametrize("body", [BODY[:-1] + b"x", BODY + b"more", b"<html>please log in</html>"])
def test_a_file_with_another_hash_never_survives(server, tmp_path, body):
    server.body = body
    with pytest.raises(DataError, match="sha256"):
        fetched(server, tmp_path)
    assert not list(tmp_path.glob("set.bin*"))


def test_more_bytes_than_announced_are_not_read(server, tmp_path):
    with pytest.raises(DataError, match="more than the 1,000 bytes"):
        fetched(server, tmp_path, size=1000)
    assert not list(tmp_path.glob("*.part"))


def test_a_server_that_never_sends_a_byte_is_given_up_and_the_part_is_kept(server, tmp_path):
    server.breaks, server.ranges = 10_000, False
    (tmp_path / "set.bin.part").write_bytes(BODY[:10])
    with pytest.raises(DataError, match=f"{TRIES} times"):
        fetched(server, tmp_path)
    assert (tmp_path / "set.bin.part").exists()
    assert not (tmp_path / "set.bin").exists()


def test_an_unknown_page_is_not_asked_for_twice(server, tmp_path):
    wrong = Address(server.url + ".old", "0" * 64)
    with pytest.raises(DataError, match="404"):
        fetch_file(wrong, tmp_path / "x", pause=pause)
    assert len(server.asked) == 1


def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def test_a_set_is_fetched_unpacked_and_not_fetched_again(server, tmp_path):
    server.body, server.breaks = zipped({"koniq10k/1024x768/1.jpg": b"picture", "koniq10k/labels.csv": b"a,b"}), 1
    sha = hashlib.sha256(server.body).hexdigest()
    config = {
        "koniq10k": {"path": str(tmp_path / "k"), "download": [{"url": server.url, "sha256": sha, "file": "k.zip"}]}
    }
    said = download("koniq10k", config, pause=pause)
    assert "2 files" in said[0]
    assert (tmp_path / "k" / "koniq10k" / "1024x768" / "1.jpg").read_bytes() == b"picture"
    asked = len(server.asked)
    assert "before" in download("koniq10k", config, pause=pause)[0]
    assert len(server.asked) == asked
    assert not list((tmp_path / "k").rglob("*.zip"))


def test_a_single_file_is_put_into_the_folder(server, tmp_path):
    sha = hashlib.sha256(BODY).hexdigest()
    download("flive", {"root": str(tmp_path)}, urls=[f"{server.url}#sha256={sha}"], pause=pause)
    assert (tmp_path / "FLIVE_Database" / "set.bin").read_bytes() == BODY


def test_an_archive_of_a_kind_we_do_not_unpack_is_left_to_the_user(server, tmp_path):
    given = {"url": server.url, "sha256": hashlib.sha256(BODY).hexdigest(), "file": "tid2013.rar"}
    said = download("tid2013", {"tid2013": {"path": str(tmp_path), "download": [given]}}, pause=pause)
    assert "unpack it there with a tool of yours" in said[0]
    assert (tmp_path / "tid2013.rar").exists()


def test_nothing_is_fetched_without_an_address():
    with pytest.raises(UsageError, match="MMSP database site"):
        addresses_of("kadid10k", {})


@pytest.mark.parametrize(
    "given",
    [
        "https://example.org/a.zip",
        "https://example.org/a.zip#sha256=123",
        "file:///etc/passwd#sha256=" + "0" * 64,
        "ftp://example.org/a.zip#sha256=" + "0" * 64,
        "https://example.org/#sha256=" + "0" * 64,
        {"url": "https://example.org/a", "sha256": "0" * 64, "file": "../a"},
        {"url": "https://example.org/a", "sha256": "0" * 64, "size": -1},
        {"address": "https://example.org/a"},
        17,
    ],
)
def test_an_address_without_pin_name_or_sense_is_refused(given):
    with pytest.raises(UsageError):
        addresses_of("live", {"live": {"download": [given]}})


def tarred(*entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for entry, data in entries:
            archive.addfile(entry, io.BytesIO(data) if data is not None else None)
    return out.getvalue()


def entry(name, data=b"x", kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = len(data) if kind == tarfile.REGTYPE else 0
    return info, data if kind == tarfile.REGTYPE else None


def test_a_sound_tar_is_unpacked(tmp_path):
    (tmp_path / "a.tgz").write_bytes(
        tarred(entry("top", kind=tarfile.DIRTYPE), entry("top/a.png", b"12"), entry("./b", b"3"))
    )
    assert unpack(tmp_path / "a.tgz", tmp_path / "out") == ["top/a.png", "b"]
    assert (tmp_path / "out" / "top" / "a.png").read_bytes() == b"12"


LINK = zipfile.ZipInfo("link")
LINK.external_attr = 0o120777 << 16

HOSTILE = {
    "zip upwards": zipped({"good.txt": "x", "../evil.txt": "x"}),
    "zip absolute": zipped({"/tmp/evil.txt": "x"}),
    "zip backslash": zipped({"a\\..\\..\\evil.txt": "x"}),
    "zip drive": zipped({"C:evil.txt": "x"}),
    "zip link": zipped({LINK: "/etc/passwd"}),
    "tar upwards": tarred(entry("good.txt"), entry("a/../../evil.txt")),
    "tar absolute": tarred(entry("/tmp/evil.txt")),
    "tar symlink": tarred(entry("a", kind=tarfile.SYMTYPE, link="/etc"), entry("a/evil.txt")),
    "tar hard link": tarred(entry("a", kind=tarfile.LNKTYPE, link="../../x")),
    "tar device": tarred(entry("a", kind=tarfile.CHRTYPE)),
    "tar fifo": tarred(entry("a", kind=tarfile.FIFOTYPE)),
    "tar twice": tarred(entry("a"), entry("a")),
    "zip control": zipped({"a\x1b[2Jb": "x"}),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_archive_is_refused_whole(tmp_path, data):
    archive, out = tmp_path / "a", tmp_path / "deep" / "out"
    archive.write_bytes(data)
    with pytest.raises(DataError, match="not unpacked"):
        unpack(archive, out)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [archive]


def test_a_bomb_is_refused_by_what_it_claims(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "SMALL", 1 << 20)
    for name, data in (("a.zip", zipped({"zeros": bytes(4 << 20)})), ("a.tgz", tarred(entry("zeros", bytes(4 << 20))))):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match="claim to unpack"):
            unpack(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_said_before_unpacking(tmp_path, monkeypatch):
    (tmp_path / "a.zip").write_bytes(zipped({"a": b"123"}))
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda _path: type("Usage", (), {"free": 2}))
    with pytest.raises(DataError, match="GB free"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_a_link_in_the_target_folder_does_not_carry_files_out(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "images").symlink_to(tmp_path / "outside")
    (tmp_path / "a.zip").write_bytes(zipped({"images/a.png": b"1"}))
    with pytest.raises(DataError, match="leads out"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert not list((tmp_path / "outside").iterdir())


@pytest.mark.parametrize(
    "make", [lambda: zipped({"a": BODY, "b": BODY}), lambda: tarred(entry("a", BODY), entry("b", BODY))]
)
def test_a_damaged_archive_leaves_nothing_behind(tmp_path, make):
    whole = make()
    for place in range(0, len(whole) - 30, max(1, len(whole) // 25)):
        damaged = bytearray(whole)
        damaged[place : place + 20] = b"\xff" * 20
        archive, out = tmp_path / "a", tmp_path / f"out{place}"
        archive.write_bytes(damaged)
        try:
            unpack(archive, out)
        except BenchError:
            assert not list(out.rglob("*"))
        else:
            assert {path.read_bytes() for path in out.rglob("*")} == {BODY}
