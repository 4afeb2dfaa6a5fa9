"""What every function of the API starts with: the settings in force, as a command would find them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from bench.core.errors import UsageError

if TYPE_CHECKING:
    from bench.cli.config import Config

Names = Union[str, Sequence[str]]
"""One name, several with commas, or a list of them."""
Places = Union[Names, Mapping[str, Union[str, Path, Mapping[str, Any]]]]
"""Names of sets, or sets of one's own: name → folder, or name → what `[data.NAME]` of bench.toml would say."""
File = Union[str, Path, None]


def settings_for(config: File = None, plugins: Sequence[Union[str, Path]] = (), **flags: Any) -> Config:
    """The settings in force here: built-in ones, those of the nearest bench.toml or of `config`, then the flags."""
    from bench.cli.invocation import CHOSEN_FILE, configure, parsed

    chosen = CHOSEN_FILE.set(Path(config) if config is not None else None)
    try:
        texts = {name: None if value is None else str(value) for name, value in flags.items()}
        return configure([Path(path) for path in plugins], **parsed(texts))
    finally:
        CHOSEN_FILE.reset(chosen)


def with_sets(settings: Config, data: Mapping[str, Any]) -> Config:
    """The settings with further sets, as if bench.toml had a section for each."""
    from bench.data.locate import refuse_unknown_settings, take_titles

    further = {name: _section(name, said) for name, said in data.items()}
    for name in (name for name, said in further.items() if "title" in said):
        raise UsageError(
            f"data: the title of {name} belongs in [data.{name}] of bench.toml, where bench.table finds it."
        )
    extended = replace(settings, data={**settings.data, **further})
    refuse_unknown_settings(extended.data)
    take_titles(extended.data)
    return extended


def _section(name: str, said: object) -> dict[str, Any]:
    """A set's section; a bare folder is one for the folder loader."""
    from bench.core.registry import DATASETS

    if isinstance(said, str | Path):
        said = {"path": said}
    if not isinstance(said, Mapping):
        raise UsageError(f"data: {name} must be a folder or a table of settings, not {said!r}.")
    plain = {key: str(value) if isinstance(value, Path) else value for key, value in said.items()}
    return plain if name in DATASETS or "loader" in plain else {"loader": "folder", **plain}


def words(given: Names | None) -> tuple[str, ...]:
    """The names in one text with commas or in a list."""
    from bench.cli.invocation import words_of

    if given is not None and not isinstance(given, str) and not all(isinstance(one, str) for one in given):
        raise UsageError(f"Names are texts, not {given!r}.")
    return words_of(given)


def pictures(limit: object) -> int:
    """The pictures of each set that a smoke run is to use, 0 for all; what is no such number is refused."""
    from bench.core.cards import Option

    return int(Option("limit", "int", 0, 0).parse(str(limit)))
