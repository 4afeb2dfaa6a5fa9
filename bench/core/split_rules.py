"""The ways to divide a set into a training and a test part, by their names, and how many splits each has."""

from __future__ import annotations

import re
from functools import cache

from bench.core.errors import UsageError

SPLIT_RULES = (
    "random, official, kfold:K (each content is tested exactly once in K folds), images and images:K (the same without "
    "regard to contents), loda, pyiqa (as their code splits) and file:PATH"
)
AUTHORS = ("loda", "pyiqa")
"""Whose splits are made again from the seed in their code."""
AUTHORS_SPLITS = 10
AT_RANDOM = ("random", *AUTHORS)
"""Ten times 80/20 at random, by content where there is any, as the papers say of their numbers."""
IMAGES = "images"
"""How a rule begins that deals pictures instead of contents: versions of one content then stand on both sides."""
_RULE = re.compile(
    r"random|official|loda|pyiqa|images|(?:kfold|images):([2-9]|[1-9]\d+)|file:([1-9]\d*):([0-9a-f]{16})"
)


@cache
def _parsed(split_rule: str) -> re.Match[str]:
    match = _RULE.fullmatch(split_rule)
    if match is None:
        raise UsageError(f"split_rule={split_rule!r} is none of {SPLIT_RULES}.")
    return match


def folds_of(split_rule: str) -> int:
    """How many folds a split rule has; 0 for a rule that has none. A rule that there is not is an error."""
    return int(_parsed(split_rule)[1] or 0)


def over_images(split_rule: str) -> bool:
    """Whether a rule divides pictures whatever they show, which tells a model of its test part's contents."""
    return split_rule.partition(":")[0] == IMAGES


def other_unit(split_rule: str) -> str:
    """The rule with contents for pictures, or pictures for contents: as many folds, or at random. "" where neither."""
    folds = folds_of(split_rule)
    if over_images(split_rule):
        return f"kfold:{folds}" if folds else "random"
    return (f"{IMAGES}:{folds}" if folds else IMAGES) if folds or split_rule == "random" else ""


def splits_in(split_rule: str) -> int:
    """How many splits a rule has; 0 where it can make as many as are wanted.

    The official split is one, on which as many trainings may be made as are wanted.
    """
    match = _parsed(split_rule)
    return AUTHORS_SPLITS if split_rule in AUTHORS else int(match[1] or match[2] or 0)


def refuse_beyond(split_rule: str, split: int) -> None:
    """A rule of so many splits has no further one."""
    if 0 < (there := splits_in(split_rule)) <= split:
        raise UsageError(
            f"split_rule={split_rule} has the splits 0 to {there - 1}, not {split}. Ask for at most --splits {there}."
        )


def file_of(split_rule: str) -> str:
    """The hash by which a kept split file goes, "" for a rule that is none: "file:10:0123456789abcdef" names one."""
    return _parsed(split_rule)[3] or ""


def is_fixed(split_rule: str) -> bool:
    """Whether somebody else said who stands where: the set's authors, another project's code, or a file."""
    return split_rule in ("official", *AUTHORS) or bool(file_of(split_rule))


def file_rule(splits: int, digest: str) -> str:
    """The rule that a kept file of so many splits is."""
    return f"file:{splits}:{digest}"


def short_name(split_rule: str) -> str:
    """The rule as names of files and tables have it."""
    return f"file_{file_of(split_rule)[:8]}" if file_of(split_rule) else split_rule.replace(":", "")


def title_of(split_rule: str) -> str:
    """The rule as a title says it."""
    if folds := folds_of(split_rule):
        return f"{folds}-fold over images." if over_images(split_rule) else f"{folds}-fold."
    return f"Splits of a file ({file_of(split_rule)[:8]})." if file_of(split_rule) else TITLES[split_rule]


TITLES = {
    "official": "Official split.",
    "random": "Random splits.",
    IMAGES: "Random splits of images.",
    "loda": "LoDa's splits.",
    "pyiqa": "pyiqa's splits.",
}
