"""Files of Hugging Face's hub, by its own client: resumed by it, and kept only with the hash that the hub promised.

An address reads hf://OWNER/REPO/FILE, or hf://OWNER/REPO@REVISION/FILE, and means a repository of data.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.errors import DataError, UsageError
from bench.core.files import sha256_of

SCHEME = "hf"
_ADDRESS = re.compile(
    r"hf://(?:datasets/)?(?P<repo>[\w.-]+/[\w.-]+?)(?:@(?P<revision>[\w.-]+))?/(?P<file>[^?#]*[^?#/])"
)


@dataclass(frozen=True)
class HubFile:
    """One file of a repository of data on the hub."""

    repo: str
    file: str
    revision: str | None = None


def parse_hub_address(url: str) -> HubFile:
    """What an hf:// address names; one that names no file of a repository is an error."""
    match = _ADDRESS.fullmatch(url)
    if match is None or ".." in match["file"].split("/"):
        raise UsageError(f"{url!r} is no address of a file on the hub: write hf://OWNER/REPO/FILE.")
    return HubFile(match["repo"], match["file"], match["revision"])


def fetch_from_hub(url: str, sha256: str, folder: Path) -> Path:
    """The file below `folder`, whole: as `sha256` says, or where it says nothing, as the hub itself says."""
    from huggingface_hub import hf_hub_download

    file = parse_hub_address(url)
    promised = sha256.lower() or _promised_hash(url, file)
    try:
        path = Path(
            hf_hub_download(file.repo, file.file, repo_type="dataset", revision=file.revision, local_dir=str(folder))
        )
    except Exception as error:  # the client raises errors of many libraries
        raise DataError(f"{url}: {_reason(error)}. What has come is kept: run the same command again.") from None
    digest = sha256_of(path) if len(promised) == 64 else _git_hash(path)
    if digest != promised:
        path.unlink()
        raise DataError(f"{url} has the hash {digest}, not {promised}; nothing of it was kept.")
    return path


def _promised_hash(url: str, file: HubFile) -> str:
    """The hash the hub keeps a file under: SHA-256 for a large one, Git's own for a small one."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    try:
        address = hf_hub_url(file.repo, file.file, repo_type="dataset", revision=file.revision)
        etag = get_hf_file_metadata(address).etag or ""
    except Exception as error:
        raise DataError(f"{url}: {_reason(error)}.") from None
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", etag):
        raise DataError(f"{url}: the hub names no hash of this file: add #sha256=HEX to the address.")
    return etag


def _git_hash(path: Path) -> str:
    """Git's hash of a file's content."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _reason(error: Any) -> str:
    """The first sentence of what the client says, in one line."""
    said = " ".join(str(error).split()) or type(error).__name__
    return said[:200].rstrip(". ")
