"""Datasets from addresses the user gives: resumed where they broke off, checked by size and sha256, unpacked safely.

Nothing is fetched unless an address is given, and no address is built in: the sets are for research use, under
their authors' terms. A file gets its name only after its hash was found right.
"""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.errors import DataError, UsageError
from bench.core.files import explain, sha256_of, write_text
from bench.core.progress import Report, counted, in_megabytes, silent
from bench.data.locate import loader_of, place_of
from bench.data.obtain.hub import SCHEME, fetch_from_hub, parse_hub_address
from bench.data.obtain.unpack import is_archive, unpack

TRIES = 5
"""Attempts in a row that may bring no new byte before the download is given up."""
TIMEOUT = 30.0
_CHUNK = 1 << 18
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_FOLDER = ".downloads"


@dataclass(frozen=True)
class Address:
    """One file to fetch: where it is, what its bytes must hash to, and (if known) how many there are."""

    url: str
    sha256: str
    size: int = 0
    file: str = ""

    @property
    def name(self) -> str:
        """The file's name on disk: as given, else the last part of the address."""
        return self.file or urllib.parse.unquote(urllib.parse.urlsplit(self.url).path.rpartition("/")[2])


class _Interrupted(Exception):
    """A transfer that ended early; what came so far is kept."""


def download(
    name: str,
    data_config: Mapping[str, Any],
    *,
    urls: Sequence[str] = (),
    progress: Report = silent,
    pause: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Fetch and unpack a set's files into its folder; returns a line on each file.

    Addresses come from `urls` ("URL#sha256=HEX", "hf://OWNER/REPO/FILE") or from `download` in `[data.NAME]`.
    """
    addresses = addresses_of(name, data_config, urls)
    place = place_of(name, data_config, Path())
    if place.path is None:
        raise UsageError(f"Where should {name} go? Write [data] root or [data.{name}] path in bench.toml.")
    said = []
    for address in addresses:
        done = place.path / _FOLDER / f"{address.name}.done"
        if _is_done(done, address):
            said.append(f"{address.name}: fetched and unpacked before")
            continue
        if address.url.startswith(f"{SCHEME}://"):
            fetched = fetch_from_hub(address.url, address.sha256, place.path / _FOLDER)
        else:
            fetched = fetch_file(address, place.path / _FOLDER / address.name, in_megabytes(progress), pause)
        if is_archive(fetched):
            files = unpack(fetched, place.path, progress)
            fetched.unlink()
            said.append(f"{address.name}: {counted(len(files), 'file')} unpacked into {place.path}")
        else:
            fetched.replace(place.path / address.name)
            by_hand = "; unpack it there with a tool of yours" if fetched.suffix.lower() in (".rar", ".7z") else ""
            said.append(f"{address.name}: put into {place.path}{by_hand}")
        write_text(done, json.dumps({"url": address.url, "sha256": address.sha256.lower()}))
    return said


def addresses_of(name: str, data_config: Mapping[str, Any], urls: Sequence[str] = ()) -> list[Address]:
    """The addresses a user gave, checked; none at all is an error that says from whom the set comes."""
    source = loader_of(name, data_config)
    entry = data_config.get(name, {})
    given: Any = list(urls) or entry.get("download", [])
    if isinstance(given, str | Mapping):
        given = [given]
    if not isinstance(given, list) or not given:
        whence = f": it comes from {source.obtain}" if source.obtain else ""
        raise UsageError(
            f"No address is given for {name}, and none is built in{whence}. "
            f'With one that serves it, write download = ["URL#sha256=HEX"] in [data.{name}], or give it as URL. On '
            "Hugging Face's hub, hf://OWNER/REPO/FILE is enough."
        )
    addresses = [_address(name, item) for item in given]
    names = [address.name.lower() for address in addresses]
    if len(set(names)) != len(names):
        raise UsageError(f"Two addresses of {name} have the same file name; give one of them another with file = ….")
    return addresses


def _address(name: str, item: Any) -> Address:
    fields = {"url": item} if isinstance(item, str) else dict(item) if isinstance(item, Mapping) else {}
    if set(fields) - {"url", "sha256", "size", "file"} or not isinstance(fields.get("url"), str):
        raise UsageError(f"A download of {name} is a text or {{url, sha256, size, file}}, not {item!r}.")
    url, _, fragment = fields["url"].partition("#")
    sha256 = str(fields.get("sha256", fragment.removeprefix("sha256=")))
    size, file = fields.get("size", 0), fields.get("file", "")
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == SCHEME:
        parse_hub_address(url)
    elif parts.scheme not in ("http", "https") or not parts.netloc:
        raise UsageError(f"{url!r} is no http, https or hf address.")
    if not _SHA256.fullmatch(sha256) and (sha256 or parts.scheme != SCHEME):
        raise UsageError(
            f"{url} is not fetched without the sha256 of its file: add #sha256=HEX to the address. Where nobody "
            "publishes it, download the file by hand; `bench data check` then looks at every row and picture."
        )
    if isinstance(size, bool) or not isinstance(size, int) or size < 0 or not isinstance(file, str):
        raise UsageError(f"A download of {name}: size must be a number of bytes and file a name.")
    address = Address(url, sha256, size, file)
    if not re.fullmatch(r"[^\x00-\x1f/\\:]+", address.name) or address.name.startswith("."):
        raise UsageError(f'{url} ends in no file name; give one with file = "NAME".')
    return address


def fetch_file(
    address: Address, target: Path, progress: Report = silent, pause: Callable[[float], None] = time.sleep
) -> Path:
    """Put one file at `target`, whole and with the right hash, resuming what an earlier call left."""
    part = target.with_name(f"{target.name}.part")
    if target.is_file() and sha256_of(target) == address.sha256.lower():
        return target
    idle = 0
    while True:
        before = _length(part)
        try:
            _transfer(address, part, progress)
            break
        except DataError:
            _discard(part)
            raise
        except (_Interrupted, OSError, http.client.HTTPException) as error:
            _give_up_if_final(address, error, part)
            idle = 0 if _length(part) > before else idle + 1
            if idle >= TRIES:
                raise DataError(
                    f"{address.url}: the transfer broke off {TRIES} times without a new byte ({error}). "
                    "Run the same command again later: what has come is kept."
                ) from None
            pause(min(30.0, 2.0**idle))
    digest = sha256_of(part)
    if digest != address.sha256.lower():
        _discard(part)
        raise DataError(
            f"{address.url} has sha256 {digest}, not {address.sha256.lower()}; nothing of it was kept. "
            "Another version of the file, or not the file at all."
        )
    part.replace(target)
    _tag_file(part).unlink(missing_ok=True)
    return target


def _give_up_if_final(address: Address, error: Exception, part: Path) -> None:
    """Errors that another try cannot mend: a refusal by the server, a full disk."""
    if isinstance(error, urllib.error.HTTPError):
        if error.code < 500 and error.code not in (408, 416, 429):
            raise DataError(f"{address.url}: the server says {error.code} {error.reason}.") from None
        return
    passing = isinstance(error, ConnectionError | TimeoutError | urllib.error.URLError)
    if isinstance(error, OSError) and error.errno is not None and not passing:
        raise explain(error, part) from error


def _transfer(address: Address, part: Path, progress: Report) -> None:
    """One request: the rest of the file where the server can do that, else all of it again."""
    part.parent.mkdir(parents=True, exist_ok=True)
    have = _length(part)
    headers = {"User-Agent": "glia-bench", "Accept-Encoding": "identity"}
    tag = _read_tag(part)
    if have:
        headers["Range"] = f"bytes={have}-"
        if tag:
            headers["If-Range"] = tag
    try:
        response = urllib.request.urlopen(urllib.request.Request(address.url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # all of it is here, or what is here is of another file
            if have == (address.size or _total_of(error.headers.get("Content-Range", ""))):
                return
            _discard(part)
        raise
    with response:
        start = _start_of(response, have)
        total = address.size or start + int(response.headers.get("Content-Length") or 0)
        _save_tag(part, response.headers.get("ETag") or response.headers.get("Last-Modified") or "")
        with part.open("r+b" if start else "wb") as out:
            out.seek(start)
            out.truncate()
            _copy(address, response, out, start, total, progress)


def _copy(address: Address, response: Any, out: Any, start: int, total: int, progress: Report) -> None:
    have = start
    while chunk := response.read(_CHUNK):
        have += len(chunk)
        if total and have > total:
            raise DataError(f"{address.url} sends more than the {total:,} bytes it should have; nothing more is read.")
        out.write(chunk)
        progress(have, max(total, have), f"fetching {address.name}")
    if total and have < total:
        raise _Interrupted(f"{have:,} of {total:,} bytes came")


def _start_of(response: Any, have: int) -> int:
    """Where the bytes of this response belong: after what is here (206 and the right range), or at the start."""
    if response.status != 206:
        return 0
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if match is None or int(match[1]) != have:
        raise _Interrupted("the server answered with another range than the one asked for")
    return have


def _total_of(content_range: str) -> int:
    last = content_range.rpartition("/")[2]
    return int(last) if last.isdecimal() else -1


def _tag_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.tag")


def _read_tag(part: Path) -> str:
    try:
        return _tag_file(part).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _save_tag(part: Path, tag: str) -> None:
    """What the server calls this version of the file; a weak tag does not promise the same bytes."""
    if tag and not tag.startswith("W/"):
        _tag_file(part).write_text(tag, encoding="utf-8")
    else:
        _tag_file(part).unlink(missing_ok=True)


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _tag_file(part).unlink(missing_ok=True)


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _is_done(done: Path, address: Address) -> bool:
    part, value = ("sha256", address.sha256.lower()) if address.sha256 else ("url", address.url)
    try:
        return bool(json.loads(done.read_text(encoding="utf-8"))[part] == value)
    except (OSError, ValueError, KeyError, TypeError):
        return False
