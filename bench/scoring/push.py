"""A model laid out as a folder that a model hub takes: weights, config, card; and the upload, where it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.core.errors import BenchError, UsageError
from bench.core.files import write_text
from bench.records.results import Record
from bench.scoring.card import card, config
from bench.scoring.model_file import write_model
from bench.scoring.scorer import Scorer

WEIGHTS = "model.safetensors"


def lay_out(scorer: Scorer, record: Record, folder: Path, name: str) -> list[Path]:
    """Write the folder's three files; whatever else lies there stays."""
    paths = [folder / file for file in (WEIGHTS, "config.json", "README.md")]
    write_model(paths[0], scorer.about, scorer.model.trainable_state())
    write_text(paths[1], config(scorer.about))
    write_text(paths[2], card(record, scorer, name))
    return paths


def upload(folder: Path, name: str, files: list[Path]) -> str:
    """Put a folder's files into the user's repository of this name on the hub; the address it then has."""
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise UsageError("--hub needs one more package: pip install huggingface_hub.") from None
    api: Any = HfApi()
    try:
        address = api.create_repo(name, exist_ok=True, private=True)
        api.upload_folder(
            repo_id=name,
            folder_path=str(folder),
            allow_patterns=[path.name for path in files],
            commit_message="A model of glia-bench",
        )
    except Exception as error:  # of the network, of the hub, of who may write there
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BenchError(f"The hub did not take {name}: {first} (hf auth login says who you are).") from None
    return str(address)
