"""Scores that were made elsewhere as records of kind "external": beside measured runs, and never taken for one.

Such a record has a spec like any other, so that it stands where runs of the same set, split and rules stand. Its method
is "external:NAME", and it has neither backbone nor weights.
"""

from __future__ import annotations

import platform
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import DataError, RunError, UsageError
from bench.core.progress import counted
from bench.core.spec import EXTERNAL, SCHEMA, Recipe, RunSpec, Target
from bench.data.labels.scores import Scores, listing
from bench.data.splits import split_of
from bench.metrics.agreement import score_metrics
from bench.records.results import Results, official_in_name_only
from bench.records.sets import contents_of, split_facts

if TYPE_CHECKING:
    import numpy as np

    from bench.data.dataset import Dataset
    from bench.records.store import Store

KIND = "external"
FULL = 0.8
"""Imported scores stand beside models that learned from the usual share of a set: they learned from none of it here."""
NONE = "none"
_OF_SPEC = ("preset", "train", "split", "source", "split_rule")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


@dataclass(frozen=True)
class Origin:
    """Whose scores they are, and how they came here: the part `external` of the record."""

    name: str
    file: str
    sha256: str
    lower_is_better: bool = False
    remark: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UsageError(f"--name {self.name!r}: letters, digits and any of _ . + - make a name, such as q-align.")

    @property
    def method(self) -> str:
        """What its records have where runs have their method."""
        return f"{EXTERNAL}:{self.name}"


@dataclass(frozen=True)
class Place:
    """Where imported scores stand: on one target, in the column of one training set, split and set of rules."""

    preset: str
    train: str
    target: Target
    split: int
    source: str = "split"
    split_rule: str = "random"
    selection: str = "last"
    seed: int = 0
    """In k-fold, where a fold under another seed counts as a split of its own."""

    @property
    def own(self) -> bool:
        """Whether it is the test part of the set itself."""
        return self.train == self.target.dataset

    def spec(self, method: str) -> RunSpec:
        """The spec of scores that stand here."""
        values: dict[str, Any] = {name: getattr(self, name) for name in _OF_SPEC}
        values |= {"backbone": "", "weights": NONE, "cnn_weights": NONE}
        recipe = Recipe(selection=self.selection, seed=self.seed)  # type: ignore[arg-type]
        return RunSpec(method, tests=(self.target,), recipe=recipe, fraction=FULL, **values)


def places_beside(results: Results, dataset: str) -> dict[Place, Mapping[str, Any]]:
    """Every place where a finished whole run is tested on a set, each with what one such run says of its data."""
    places: dict[Place, Mapping[str, Any]] = {}
    for record in results.records:
        spec = record.spec
        usual = spec.fraction == FULL and not spec.limit and spec.schema == SCHEMA and not spec.external
        if not usual or not record.done or official_in_name_only(record.body):
            continue
        for target in spec.tests:
            if target in (Target.of(dataset, "all"), Target.of(spec.train)) and target.dataset == dataset:
                seed = spec.recipe.seed if spec.folds else 0
                rules = (spec.source, spec.split_rule, spec.recipe.selection, seed)
                places.setdefault(Place(spec.preset, spec.train, target, spec.split, *rules), record.section("data"))
    return places


@dataclass(frozen=True)
class Import:
    """Somebody's scores of one set, ready to be written as records."""

    origin: Origin
    dataset: Dataset
    scores: Scores
    results: Path | None = None
    """The folder that keeps the splits of files."""

    def body(self, place: Place, beside: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The record of one place and its predictions; `beside`: what a measured run there says of its data."""
        spec = place.spec(self.origin.method)
        rows, train = self._rows(place, spec, beside)
        if len(missing := self.scores.missing(rows)):
            names = listing(self.dataset.table["image"].iloc[missing].tolist())
            raise DataError(f"{self.origin.file} lacks {counted(len(missing), 'picture')} of {place.target}: {names}.")
        arrays = self._arrays(rows)
        try:
            metrics = score_metrics(arrays["predicted"], arrays["human"])
        except RunError as error:
            raise DataError(f"{self.origin.file}, split {place.split} of {place.target}: {error}.") from None
        about = {"hash": self.dataset.hash(), "n": len(rows), "contents": contents_of(self.dataset, rows)}
        body = {
            "schema": SCHEMA,
            "kind": KIND,
            "key": spec.key,
            "spec": spec.as_dict(),
            "status": "done",
            "error": None,
            "external": asdict(self.origin),
            "data": {"train": train, "tests": {str(place.target): about}},
            "metrics": {str(place.target): metrics},
            "run": {"host": platform.node(), "finished": datetime.now(UTC).isoformat(timespec="seconds")},
        }
        return body, {f"{place.target}/{name}": values for name, values in arrays.items()}

    def _rows(self, place: Place, spec: RunSpec, beside: Mapping[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
        """The rows that are tested, and what is said of the training set; on other data than the runs' is an error."""
        import numpy as np

        theirs = dict(beside.get("train", {}))
        known = beside.get("tests", {}).get(str(place.target), {}).get("hash", self.dataset.hash())
        if not place.own:
            self._same(known == self.dataset.hash(), place)
            return np.arange(len(self.dataset)), {name: of for name, of in theirs.items() if name != "pixels"}
        split = split_of(spec, self.dataset, self.results)
        ours = {"name": place.train, **split_facts(self.dataset, split)}
        self._same(all(theirs.get(name, ours[name]) == ours[name] for name in ("hash", "split_hash")), place)
        return split.test, ours

    def _same(self, alike: bool, place: Place) -> None:
        if not alike:
            raise DataError(
                f"{self.dataset.name} has other pictures' names, scores or groups here than when the runs of split "
                f"{place.split} were made, so nothing could be paired with them: `bench verify --data` names them."
            )

    def _arrays(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The predictions as every run stores them, turned so that higher is better."""
        import numpy as np

        table = self.dataset.table.iloc[rows]
        texts = {"names": "image", "group": "group", "distortion": "distortion"}
        arrays: dict[str, np.ndarray] = {name: table[column].to_numpy(dtype=str) for name, column in texts.items()}
        predicted = self.scores.values[rows] * (-1 if self.origin.lower_is_better else 1)
        human = table["score"].to_numpy(dtype=np.float64)
        return arrays | {"human": human, "predicted": predicted, "level": table["level"].to_numpy(dtype=np.int64)}


@dataclass(frozen=True)
class Imported:
    """The outcome of an import."""

    written: tuple[Place, ...]
    same: int
    """Places where the very same scores stood already."""
    left_out: Mapping[Place, str]
    """Places beside models of other sets that the scores do not cover, and why."""
    srcc: float
    """The median over all places: a negative one may mean that the scores are turned round."""


def import_scores(
    store: Store, scores: Import, places: Mapping[Place, Mapping[str, Any]], *, replace: bool = False
) -> Imported:
    """Write a record for each place; nothing is written where the test part of one of the set's own splits cannot be.

    Other scores that stand there under the same name are put aside with `replace`, and are an error without.
    """
    known = {record["key"]: record for record, spec in store.sound() if spec.method == scores.origin.method}
    bodies, left_out = _bodies(scores, places)
    new = {place: values for place, values in bodies.items() if not _equal(known.get(values[0]["key"]), values[0])}
    others = [known[body["key"]] for body, _ in new.values() if body["key"] in known]
    if others and not replace:
        raise UsageError(
            f"{scores.origin.method} has other scores of {scores.dataset.name} here, from "
            f"{others[0]['external']['file']}: --replace puts those aside, or give these another --name."
        )
    for body, arrays in new.values():
        store.write(body, arrays)
    values = [metrics["srcc"] for body, _ in bodies.values() for metrics in body["metrics"].values()]
    return Imported(tuple(new), len(bodies) - len(new), left_out, statistics.median(values))


def _bodies(
    scores: Import, places: Mapping[Place, Mapping[str, Any]]
) -> tuple[dict[Place, tuple[dict[str, Any], dict[str, np.ndarray]]], dict[Place, str]]:
    """(the record of each place with its predictions, the places elsewhere that lack scores and why)."""
    bodies, left_out = {}, {}
    for place, beside in sorted(places.items(), key=_order):
        try:
            bodies[place] = scores.body(place, beside)
        except DataError as error:
            if place.own:
                raise
            left_out[place] = str(error)
    return bodies, left_out


def _order(item: tuple[Place, object]) -> tuple[object, ...]:
    place = item[0]
    return (
        place.preset,
        not place.own,
        place.train,
        place.split_rule,
        place.selection,
        place.source,
        place.seed,
        place.split,
    )


def _equal(one: Mapping[str, Any] | None, other: Mapping[str, Any]) -> bool:
    """Whether a record here holds the same scores of the same data, whatever their file is called."""
    if one is None or one.get("data") != other["data"]:
        return False
    return {**one.get("external", {}), "file": ""} == {**other["external"], "file": ""}


def spans(places: Sequence[Place]) -> Iterator[str]:
    """Places in words, splits together: "demo preset, demo_a:test, splits 0 and 1"."""
    split_lists: dict[tuple[object, ...], list[int]] = {}
    for place in places:
        about = (place.preset, place.train, place.target, place.source, place.split_rule, place.selection)
        split_lists.setdefault(about, []).append(place.split)
    for (preset, train, target, *rules), splits in split_lists.items():
        where = str(target) if train == Target(str(target)).dataset else f"trained on {train} → {target}"
        usual = [word for word in map(str, rules) if word not in ("split", "random", "last")]
        said = ", ".join([f"preset {preset}", where, *usual])
        numbers = sorted(set(splits))
        whole = numbers == list(range(len(numbers))) and len(numbers) > 2
        text = f"0 to {numbers[-1]}" if whole else ", ".join(map(str, numbers))
        yield f"{said}, split{'s' if len(numbers) > 1 else ''} {text}"
