"""Files that a command line or a method's option names: a run's own description holds the hash of what is in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.core.errors import UsageError
from bench.core.files import expanded
from bench.core.hashes import TOKEN, file_token
from bench.core.registry import METHODS
from bench.core.spec import Scalar

Options = Mapping[str, Mapping[str, Scalar]]
"""By method, the options that somebody set."""


def weights_token(wish: str, flag: str = "--weights") -> tuple[dict[str, Path], str]:
    """What a spec says of the weights, and the file behind it where the user gave one."""
    if wish in ("pretrained", "random"):
        return {}, wish
    path = expanded(wish)
    if not path.is_file():
        raise UsageError(f"{flag} {wish}: there is no such file (and it is neither 'pretrained' nor 'random').")
    token = file_token(path)
    return {token: path.resolve()}, token


def weight_files(weights: str | Path | None, cnn_weights: str | Path | None) -> dict[str, Path]:
    """The user's weights files by the names that specs have for them: for runs that are made already."""
    files = weights_token(str(weights))[0] if weights is not None else {}
    if cnn_weights is not None:
        files["cnn"] = next(iter(weights_token(str(expanded(cnn_weights).resolve()), "--cnn-weights")[0].values()))
    return files


def with_tokens(options: Options) -> tuple[dict[str, dict[str, Scalar]], dict[str, Path]]:
    """Options with the hash of each file in the place of its path, and the paths by these hashes.

    Which options name files, a method says in `files`. A hash that was typed stays: what it stands for may be kept.
    """
    told: dict[str, dict[str, Scalar]] = {}
    paths: dict[str, Path] = {}
    for method, own in options.items():
        told[method] = dict(own)
        for name in METHODS.card(method).facts["files"]:
            given = str(own.get(name, ""))
            if not given or given.startswith(TOKEN):
                continue
            path = expanded(given)
            if not path.is_file():
                raise UsageError(f"{method}.{name}={given}: there is no such file.")
            told[method][name] = file_token(path)
            paths[file_token(path)] = path.resolve()
    return told, paths


def without_fileless(methods: Iterable[str], typed: Iterable[str], options: Options) -> tuple[list[str], list[str]]:
    """(the methods that have the files they cannot do without, what is said of the others).

    One that was typed is refused; those that came by "all" are left out.
    """
    possible, said = [], []
    for method in methods:
        needed = METHODS.card(method).facts["files"]
        lacking = [why for name, why in needed.items() if why and not options.get(method, {}).get(name)]
        if lacking and method in typed:
            raise UsageError(f"{method}: {lacking[0]}.")
        if lacking:
            said.append(f"{method}: {lacking[0]}")
        else:
            possible.append(method)
    return possible, said
