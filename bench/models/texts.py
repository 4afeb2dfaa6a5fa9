"""Frozen text encoders: texts in, a vector for each out. Those of open_clip by name; a random one to try machinery."""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from bench.core.errors import UsageError, WeightsError, suggest
from bench.core.hashes import file_behind

BATCH = 64
"""Texts that are encoded together."""
RANDOM_WIDTH = 32


class Encode(Protocol):
    """A text encoder."""

    def __call__(self, texts: Sequence[str], device: torch.device, /) -> Tensor:
        """[texts, width], on the CPU."""
        ...


def random_texts(texts: Sequence[str], device: torch.device) -> Tensor:
    """What a random network makes of texts: the mean of a random vector for each word. For tests of machinery."""
    return torch.stack([torch.stack([_random_word(word) for word in _words(text)]).mean(0) for text in texts])


class ClipTexts:
    """The text encoder of a CLIP model by open_clip, loaded when it is first asked."""

    def __init__(self, name: str, token: str, files: Mapping[str, Path]) -> None:
        self.name, self.token, self.files = name, token, files

    def __call__(self, texts: Sequence[str], device: torch.device) -> Tensor:
        """What the encoder makes of each text; it is let go of afterwards."""
        model, tokenizer = self._load(device)
        with torch.no_grad():
            parts = [texts[at : at + BATCH] for at in range(0, len(texts), BATCH)]
            return torch.cat([model.encode_text(tokenizer(list(part)).to(device)).float().cpu() for part in parts])

    def _load(self, device: torch.device) -> tuple[Any, Any]:
        clip = _open_clip()
        model, _, tag = self.name.partition(":")
        if model not in clip.list_models():
            raise UsageError(f"open_clip has no model {model!r}. {suggest(model, clip.list_models(), '')}")
        if self.token:
            tag = str(file_behind(self.token, self.files, "--set METHOD.text_weights=FILE"))
        elif tag not in (tags := clip.list_pretrained_tags_by_model(model)):
            raise UsageError(f"open_clip has no weights {tag!r} of {model}: write {model}:TAG, with one of {tags}.")
        logging.disable(logging.CRITICAL)  # it says on several lines what the error says
        try:
            return clip.create_model(model, pretrained=tag, device=device).eval(), clip.get_tokenizer(model)
        except Exception as error:  # what a download or a foreign file raises is of many libraries
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise WeightsError(
                f"The text encoder {self.name} cannot be loaded ({said[:160]}).\n"
                "Fetch its weights elsewhere and give them with --set METHOD.text_weights=FILE."
            ) from None
        finally:
            logging.disable(logging.NOTSET)


def _open_clip() -> Any:
    try:
        import open_clip
    except ImportError:
        raise WeightsError(
            "Texts are read by open_clip, which is not installed here.\n"
            "Install it: pip install 'glia-bench[captions]', or pip install open_clip_torch."
        ) from None
    return open_clip


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower()) or [""]


def _random_word(word: str) -> Tensor:
    return torch.randn(RANDOM_WIDTH, generator=torch.Generator().manual_seed(zlib.crc32(word.encode())))
