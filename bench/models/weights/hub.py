"""Pretrained weights of a timm tag from the model hub: from its local cache, else downloaded by timm's own loader.

A hub that does not answer is a short error within `HUB_SECONDS` that names the file to fetch by hand.
"""

from __future__ import annotations

import re
import threading
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from bench.core.errors import WeightsError
from bench.core.files import sha256_of

HUB_SECONDS = 8.0
"""How long the hub may take to send the first byte of a file."""

_SAFE = {"pytorch_model.bin": "model.safetensors", "open_clip_pytorch_model.bin": "open_clip_model.safetensors"}


def hub_file(cfg: Any, flag: str) -> Path:
    """The weights file of a timm pretrained configuration, on this machine afterwards.

    `flag` is the option with which a user gives the file by hand.
    """
    name = f"{cfg.architecture}.{cfg.tag}" if cfg.tag else cfg.architecture
    if not cfg.hf_hub_id:
        where = f"; fetch {cfg.url} yourself and give it with {flag} FILE" if cfg.url else ""
        raise WeightsError(f"timm knows no hub file with pretrained weights for {name}{where}.")
    repo, _, revision = cfg.hf_hub_id.partition("@")
    file_name = cfg.hf_hub_filename or "pytorch_model.bin"
    files = [_SAFE[file_name], file_name] if file_name in _SAFE else [file_name]
    cached = _cached(repo, files, revision)
    if cached is not None:
        return cached
    reason = _download(cfg, repo, files[0], file_name, revision)
    cached = _cached(repo, files, revision)
    if cached is None:
        raise WeightsError(
            f"The weights of {name} are not on this machine: {reason or 'the download left no file'}. "
            f"Fetch {files[0]} of {repo} elsewhere and give it with {flag} FILE. Without a hub: --preset demo needs "
            "none, and --weights random tries the machinery."
        )
    _check(cached)
    return cached


def _cached(repo: str, files: list[str], revision: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    for file in files:
        path = try_to_load_from_cache(repo, file, revision=revision or None)
        if isinstance(path, str):
            return Path(path)
    return None


def _download(cfg: Any, repo: str, first: str, name: str, revision: str) -> str:
    """Let timm download the file into the hub's cache; why it did not, or nothing."""
    from huggingface_hub import constants
    from timm.models import load_state_dict_from_hf

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE forbids asking the hub"
    reason = _silence(f"{constants.ENDPOINT}/{repo}/resolve/{revision or 'main'}/{first}")
    if reason:
        return f"the hub at {constants.ENDPOINT} cannot be reached ({reason})"
    try:
        load_state_dict_from_hf(cfg.hf_hub_id, name, weights_only=True)
    except Exception as error:  # the client raises errors of many libraries
        said = str(error).strip().splitlines() or [type(error).__name__]
        return f"the hub at {constants.ENDPOINT} refused ({said[0][:160]})"
    return ""


def _silence(url: str) -> str:
    """Why no byte comes from the address, or nothing.

    Asked aside, because looking up a name and a chain of redirects have no time limit of their own.
    """
    said: list[str] = []
    asking = threading.Thread(target=lambda: said.append(_first_byte(url)), daemon=True)
    asking.start()
    asking.join(HUB_SECONDS)
    return said[0] if said else f"no answer within {HUB_SECONDS:.0f} seconds"


def _first_byte(url: str) -> str:
    try:
        with urlopen(Request(url, headers={"Range": "bytes=0-0"}), timeout=HUB_SECONDS) as answer:
            answer.read(1)
    except HTTPError as error:
        # a missing file or a locked repository is for the client to explain: it also looks for other names
        return f"it answers {error.code}" if error.code == 429 or error.code >= 500 else ""
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        return str(getattr(reason, "strerror", None) or reason) or type(error).__name__
    return ""


def _check(path: Path) -> None:
    """The hub keeps large files under their SHA-256: what was just downloaded must have it."""
    blob = path.resolve()
    if re.fullmatch(r"[0-9a-f]{64}", blob.name) and sha256_of(blob) != blob.name:
        blob.unlink()
        path.unlink(missing_ok=True)
        raise WeightsError(f"{path.name} came damaged from the hub and was not kept. Run the same command again.")
