"""How a setting of `--set` is written, which fields of a run it may give, and what is said of one that nobody knows."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.core.errors import UsageError, suggest
from bench.core.registry import METHODS, PROTOCOLS
from bench.core.spec import recipe_options

RECIPE = "recipe"
"""As an owner: `--set recipe.dropout=0.2` leaves a method's option of the same name alone."""
SPEC_SETTINGS = {
    "fraction": "float",
    "source": 'Literal["split", "all"]',
    "split_rule": "str",
}
"""Fields of a run, beside recipe and options, that `--set` may give, with their types."""
SPEC_MEANINGS = {
    "fraction": "Share of the set that is trained on; at most 0.8, for a fifth is always kept for tests.",
    "source": "Train on the training part of a split, or on the whole set (to test on others).",
    "split_rule": "Random splits of contents, the one that the set's authors published (official), kfold:K (each "
    "content is tested in exactly one of K folds), the same over pictures whatever they show (images, images:K), or "
    "other people's: loda, pyiqa, file:PATH.",
}


def parsed(text: str) -> tuple[str, str, str]:
    """(owner, key, value) of `key=value` or `owner.key=value`."""
    match = re.fullmatch(r"(?:([^.=\s]+)\.)?(\w+)=(.*)", text, flags=re.DOTALL)
    if match is None:
        tight = re.sub(r"\s*=\s*", "=", text.strip(), count=1)
        hint = f" Write it without spaces: --set {tight}" if tight != text and "=" in tight else ""
        raise UsageError(f"--set {text!r} is not of the form key=value or method.key=value.{hint}")
    return match[1] or "", match[2], match[3]


def several(text: str) -> str:
    """A hint where somebody gave several settings to one --set."""
    parts = text.split(",")
    if len(parts) > 1 and all(re.match(r"[^=\s]+=", part.strip()) for part in parts):
        return " Each setting has a --set of its own: " + " ".join(f"--set {part.strip()}" for part in parts)
    return ""


def unknown(owner: str, key: str, methods: Sequence[str], protocols: Sequence[str]) -> str:
    """Why nobody takes a setting, with what was probably meant."""
    cards = {name: METHODS.card(name) for name in methods} | {name: PROTOCOLS.card(name) for name in protocols}
    if owner and owner not in cards and owner != RECIPE:
        return _stranger(owner, methods, protocols)
    if owner == RECIPE:
        known = list(recipe_options())
    elif owner:
        known = [*cards[owner].options, *(recipe_options() if owner in methods else ())]
    else:
        known = [*recipe_options(), *SPEC_SETTINGS, *(name for card in cards.values() for name in card.options)]
    whose = "Neither the recipe nor a method or protocol asked for has an"
    if owner:
        whose = "The recipe has no" if owner == RECIPE else f"{owner} has no"
    return f"{whose} option {key!r}. {suggest(key, known)}"


def _stranger(owner: str, methods: Sequence[str], protocols: Sequence[str]) -> str:
    """Why nobody asked for is called so: not asked for, or no such name at all."""
    for kind, registry, asked in (("method", METHODS, methods), ("protocol", PROTOCOLS, protocols)):
        if owner in registry:
            named = f" ({', '.join(asked)})" if asked else f": name it with --{kind}"
            return f"{owner} is not among the {kind}s asked for{named}."
    names = [*methods, *protocols, *METHODS.names(), *PROTOCOLS.names()]
    return f"There is no method or protocol {owner!r}. {suggest(owner, names)}"
