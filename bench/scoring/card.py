"""The model card of a run, made from its record: data, protocol, metrics with intervals, limits, how to load it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.core.errors import BenchError
from bench.metrics.contents import ModelScores, interval
from bench.records.results import Record
from bench.report.arms import arm_of, count_text
from bench.report.tables.fill import dataset_title
from bench.scoring.about import About
from bench.scoring.scorer import Scorer

METRICS = {"srcc": "SRCC", "plcc": "PLCC"}
LIMITS = (
    "It was trained to order pictures like those of its training set; of other kinds (drawings, screenshots, medical "
    "or generated pictures) nothing is known.",
    "Its score is an average opinion on technical quality, not on beauty, truth or worth; it says nothing of a "
    "person's own taste, and differences smaller than its error mean nothing.",
    "The intervals are over contents of this test part; they do not cover other sets, cameras or raters.",
)


@dataclass(frozen=True)
class Measured:
    """A metric on a target, with its interval over contents where there is one."""

    target: str
    metric: str
    value: float
    low: float | None
    high: float | None
    pictures: int


def measured(record: Record) -> list[Measured]:
    """What a run was measured to do; intervals from its stored predictions."""
    lines = []
    for target, metrics in record.section("metrics").items():
        for metric in METRICS:
            value = metrics.get(metric)
            if value is not None:
                lines.append(_with_interval(record, target, metric, float(value)))
    return lines


def _with_interval(record: Record, target: str, metric: str, value: float) -> Measured:
    try:
        stored = record.predictions(target)
        if stored is not None:
            scores = ModelScores.of(metric, stored.predicted, stored.human, stored.group)
            over = interval([scores], metric)
            return Measured(target, metric, value, over.low, over.high, len(stored.human))
    except BenchError:
        pass  # predictions that are gone or damaged: the number stands without its interval
    return Measured(target, metric, value, None, None, 0)


def card(record: Record, scorer: Scorer, name: str) -> str:
    """The card as Markdown with the front matter that model hubs read."""
    about = scorer.about
    parts = [_front(about), f"# {name}", _opening(about), *_sections(record, scorer)]
    return "\n\n".join(parts) + "\n"


def config(about: About) -> str:
    """The JSON beside the weights: the same that stands in the weights' header."""
    return json.dumps(about.to_json(), indent=1, sort_keys=True) + "\n"


def _front(about: About) -> str:
    lines = ["library_name: glia-bench", "tags:", "- image-quality-assessment", f"- {about.spec.method.split(':')[0]}"]
    lines += (
        [f"base_model: timm/{about.spec.backbone}"]
        if about.spec.weights == "pretrained" and "." in about.spec.backbone
        else []
    )
    return "\n".join(["---", *lines, "---"])


def _opening(about: About) -> str:
    spec = about.spec
    title = arm_of(spec).label()
    scale = f" Scores are on {about.scale.said}." if about.scale is not None else " Scores are raw; higher is better."
    return f"Blind image quality: {title}, trained on {dataset_title(spec.train)} with glia-bench.{scale}"


def _sections(record: Record, scorer: Scorer) -> list[str]:
    about = scorer.about
    limits = [*(f"**{caution}**" for caution in about.cautions), *LIMITS]
    return [
        "## Data and protocol",
        _table(_protocol(record, scorer)),
        "## Measured",
        _metrics(record),
        "## Limits",
        "\n".join(f"- {line}" for line in limits),
        "## How to load it",
        "```\npip install glia-bench\nbench predict PICTURES --model model.safetensors --sort\n```",
        "```python\nimport bench\n\nscorer = bench.load('model.safetensors')\nscorer(['photo.jpg'])\n```",
        _what_is_in_it(scorer),
        "## Licences",
        "\n".join(f"- {line}" for line in about.licences),
    ]


def _what_is_in_it(scorer: Scorer) -> str:
    """Which of the networks the file holds."""
    if not scorer.about.weights:
        return "The file holds the whole model: no network of timm's is loaded beside it."
    learned = scorer.model.learned()
    if 2 * learned < scorer.model.numbers():
        return "What is frozen is not in the file: timm's hub (or `--weights FILE`) gives it, and its hash is checked."
    return (
        f"The file holds the network as training left it ({count_text(learned)} numbers). The one that it began as is "
        "loaded too: timm's hub (or `--weights FILE`) gives it, and its hash is checked."
    )


def _protocol(record: Record, scorer: Scorer) -> list[tuple[str, Any]]:
    about, spec, data = scorer.about, scorer.about.spec, record.section("data").get("train", {})
    count = record.section("parameters").get("trainable")
    read = [("Weights' hash", about.weights), ("Normalisation", spec.recipe.norm)] if about.weights else []
    descends = "descent" in scorer.networks.method.learns
    return [
        ("Training set", f"{dataset_title(spec.train)}, {data.get('n_train')} of {data.get('n')} pictures"),
        ("Split", f"{spec.split}, {data.get('split_rule')}"),
        ("Backbone", f"{spec.backbone} ({spec.weights})" if spec.backbone else "none"),
        *read,
        ("Trained parameters", count_text(count) if count else "unknown"),
        ("Options", ", ".join(f"{name}={value}" for name, value in spec.options.items()) or "none"),
        ("Training", _training(scorer)),
        ("Views", _views(scorer)),
        *([("Chosen epoch", spec.recipe.selection)] if descends else []),
        ("Run", about.key),
        ("Made with", ", ".join(f"{name} {version}" for name, version in about.versions.items() if version)),
    ]


def _training(scorer: Scorer) -> str:
    """How it learned, by what the method says of itself."""
    recipe = scorer.about.spec.recipe
    descent = f"{recipe.epochs} epochs, batches of {recipe.batch}, lr {recipe.lr:g}, loss {recipe.loss}"
    ways = {"descent": descent, "fit": "a fit, no descent", "fit_then_descent": f"a fit, then {descent}"}
    return ways.get(scorer.networks.method.learns, "none")


def _views(scorer: Scorer) -> str:
    recipe, views = scorer.about.spec.recipe, list(scorer.views.values())
    if not views:
        return "none: it looks at no picture"
    if all(view.kind == "whole" for view in views):
        return "the whole picture, once"
    if recipe.whole_pictures:
        return f"the whole picture, of at most {recipe.tokens} patches; trained on crops of {recipe.size} pixels"
    sizes = " and ".join(str(size) for size in sorted({view.size for view in views}))
    if scorer.count == 1:
        return f"one of {sizes} pixels in a test"
    return f"{scorer.count} of {sizes} pixels in a test, drawn by a picture's pixels here"


def _table(rows: Sequence[tuple[str, Any]]) -> str:
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)])


def _metrics(record: Record) -> str:
    measurements = measured(record)
    if not measurements:
        return "Nothing: it was trained on all pictures and tested on none."
    lines = [
        "| Tested on | Metric | Value | 95% interval over contents | Pictures |",
        "| --- | --- | ---: | --- | ---: |",
    ]
    for one in measurements:
        between = f"{one.low:.3f} to {one.high:.3f}" if one.low is not None and one.high is not None else "none"
        lines.append(f"| {one.target} | {METRICS[one.metric]} | {one.value:.3f} | {between} | {one.pictures or ''} |")
    return "\n".join(lines)
