"""Opening a trained model: from a run's key, or from a model file, with everything checked that it stands on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.core.code import NUMERICS, code_of, same_code
from bench.core.errors import BenchError, StoreError, UsageError, WeightsError
from bench.core.files import expanded
from bench.core.hashes import file_token
from bench.core.machine import PACKAGES, describe, pick_device, refuse_precision, set_up
from bench.core.mixes import flags_of, is_mix
from bench.core.progress import Report, silent
from bench.core.registry import METHODS, add_plugin_file
from bench.core.runtime import Runtime, default_cache
from bench.data.dataset import Dataset
from bench.data.splits import split_of
from bench.models.whole import views_in_test
from bench.records.results import Record
from bench.records.store import Store
from bench.scoring.about import About, licences_of
from bench.scoring.model_file import read_model
from bench.scoring.runs import run_of_key
from bench.scoring.scale import Scale, chosen_rows, fit_scale, why_unscaled
from bench.scoring.scorer import Scorer
from bench.training.session import Networks, build_networks, load_set
from bench.training.shared import Shared
from bench.training.states import keep_beside, read_trained

SCALE = "scale"
"""Under which name a kept state holds the scale of its scores."""
TOLD_OF_DATA = ("name", "hash", "n", "n_train", "notes")
"""What a model knows of its training set."""


def load(
    source: str | Path,
    *,
    results: Path | str = "results",
    device: str = "auto",
    cache: Path | None = None,
    data: Mapping[str, Any] | None = None,
    weights: Path | None = None,
    scale: str = "",
) -> Scorer:
    """The scorer of a run (its key, or the key's beginning) or of a model file.

    `data` is the `[data]` section of bench.toml: only a run whose scale was never fitted needs its training set.
    `weights`: the backbone's file, where the run was made with one. `scale`: of a model of several sets, the one whose
    scale its scores are brought to; raw numbers without it.
    """
    files = {file_token(expanded(weights)): expanded(weights)} if weights is not None else {}
    where = expanded(cache) if cache is not None else default_cache()
    runtime = Runtime(expanded(results), where, dict(data or {}), device, weight_files=files)
    return load_scorer(source, runtime, scale=scale)


def load_scorer(
    source: str | Path, runtime: Runtime, report: Report = silent, shared: Shared | None = None, scale: str = ""
) -> Scorer:
    """The same with everything that bench.toml and flags say; `shared` holds networks of scorers opened before."""
    for plugin in runtime.plugins:
        add_plugin_file(Path(plugin))
    if is_file(source):
        about, tensors = read_model(expanded(source))
        _check_scale(about, scale)
        if scale and (about.scale is None or about.scale.dataset != scale):
            known = f"that of {about.scale.dataset}" if about.scale is not None else "none"
            raise UsageError(
                f"{source} knows {known}: `bench export {about.key} --scale {scale}` writes a file that knows this one."
            )
        return build_scorer(about, tensors, runtime, report, shared)
    return scorer_of_run(run_of_key(Store(runtime.results), str(source)), runtime, report, shared, scale)


def _check_scale(about: About, scale: str) -> None:
    """A scale is that of a set which was learned."""
    if scale and scale not in about.spec.trained_on:
        raise UsageError(f"--scale {scale}: {about.title} did not learn {scale}, and so has no scale of it.")


def is_file(source: str | Path) -> bool:
    """Whether a source names a model file, and no run."""
    path = expanded(source)
    return isinstance(source, Path) or path.suffix == ".safetensors" or len(path.parts) > 1 or path.exists()


def scorer_of_run(
    record: Record, runtime: Runtime, report: Report = silent, shared: Shared | None = None, scale: str = ""
) -> Scorer:
    """The scorer of a run with kept weights. Its scale is fitted the first time, where its training set is here.

    A run on several sets has as many scales: it has the one that is asked for, else none.
    """
    store = Store(runtime.results)
    path = store.state_path(record.spec)
    trained = read_trained(path)
    if trained is None or trained.about.get("training") != record.spec.training_key:
        raise WeightsError(f"The kept weights of run {record.key} are damaged: {_made_again(record)}")
    name = SCALE if not is_mix(record.spec.train) else f"{SCALE} {scale}"
    about = _about_of(record, trained.about, name)
    _check_scale(about, scale)
    scorer = build_scorer(about, trained.tensors, runtime, report, shared)
    if about.scale is None and (scale or not is_mix(record.spec.train)):
        here = _training_pictures(scorer, scale or record.spec.train, runtime, report)
        found = scale_of(scorer, *here, report, scale) if here else None
        if found is not None:
            scorer.about = scorer.about.with_scale(found)
            _keep_scale(path, name, found)
        elif scale:
            raise UsageError(
                f"--scale {scale}: it cannot be fitted. The pictures of {about.spec.train} are not here as they were "
                "learned, or the model's numbers do not follow their scores. Without --scale its numbers are raw."
            )
        elif here:
            scorer.about = replace(scorer.about, unscaled=why_unscaled(len(here[1])))
    return scorer


def build_scorer(
    about: About, tensors: Mapping[str, Tensor], runtime: Runtime, report: Report = silent, shared: Shared | None = None
) -> Scorer:
    """The model of trained tensors, on the very networks and by the very code that they were trained with."""
    set_up(runtime.threads)
    device = pick_device(runtime.device)
    refuse_precision(about.spec.precision, device)
    _check_code(about)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):  # building seeds what is the caller's
        networks = build_networks(about.spec, runtime, report, device, Shared() if shared is None else shared)
    _check_weights(about, networks)
    try:
        networks.model.load_trainable_state(tensors)
    except (KeyError, RuntimeError) as error:
        raise WeightsError(_other_names(about, error)) from None
    return Scorer(_completed(about, networks), networks)


def _about_of(record: Record, header: Mapping[str, str], name: str) -> About:
    text = header.get(name)
    try:
        scale = Scale.from_json(text) if text else None
    except (KeyError, TypeError, ValueError):
        scale = None  # fitted anew
    return About(
        spec=record.spec,
        weights=header.get("weights", ""),
        code=header.get("code", ""),
        numerics=int(header.get("numerics", "0")),
        scale=scale,
        data={name: record.section("data").get("train", {}).get(name) for name in TOLD_OF_DATA},
        metrics=record.section("metrics"),
        versions={name: record.section("run").get("versions", {}).get(name, "") for name in PACKAGES},
    )


def _completed(about: About, networks: Networks) -> About:
    """With what only the built model knows."""
    seen = views_in_test(networks.method, about.spec.recipe, about.spec.backbone)
    views = {name: repr(view) for name, view in seen.items()}
    mean, std = networks.normalisation()
    read = {about.spec.backbone: networks.weights} if about.spec.backbone else {}
    licences = licences_of(about.spec, {name: one.source for name, one in {**read, **networks.further}.items()})
    return replace(about, views=views, normalisation=(tuple(mean), tuple(std)), licences=licences)


def _check_code(about: About) -> None:
    """Tensors of other code would be put into another network without a word."""
    method = about.spec.method
    if method not in METHODS:
        raise UsageError(f"The method {method!r} is not known here: --plugin FILE names the file that it is in.")
    if about.numerics != NUMERICS or not same_code(method, about.code, str(code_of(method)["method"])):
        raise WeightsError(
            f"{about.title} was trained by another version of the method {method} than the one here: "
            "train it again, or use the version of glia-bench that made it."
        )


def _check_weights(about: About, networks: Networks) -> None:
    here = networks.weights_hash()
    if here != about.weights:
        raise WeightsError(
            f"{about.title} stands on the networks {about.weights}, and here they are {here}: its numbers would mean "
            "nothing. --weights FILE names the backbone's file."
        )


def _other_names(about: About, error: Exception) -> str:
    now = describe()["versions"]
    moved = [
        f"{name} {about.versions[name]}, here {now[name]}"
        for name in ("timm", "peft", "torch")
        if about.versions.get(name) and about.versions[name] != now[name]
    ]
    why = f"It was made with {'; '.join(moved)}." if moved else "It was not made by this version of the method."
    return f"The tensors of {about.title} have other names or shapes than its model has here ({error}). {why}"


def _made_again(record: Record) -> str:
    return f"bench run -m {record.spec.method} {flags_of(record.spec.train)} --overwrite always"


def _keep_scale(path: Path, name: str, scale: Scale) -> None:
    with suppress(StoreError):  # a results folder that is only read: it is fitted again the next time
        keep_beside(path, **{name: json.dumps(scale.to_json(), sort_keys=True)})


def _training_pictures(
    scorer: Scorer, name: str, runtime: Runtime, report: Report
) -> tuple[Dataset, np.ndarray] | None:
    """A run's data and the rows of one set's training pictures; None where these are not here, or not the same."""
    spec = scorer.about.spec
    try:
        dataset = load_set(spec, spec.train, runtime, report)
        rows = split_of(spec, dataset, runtime.results).train
    except BenchError:
        return None
    if scorer.about.data.get("hash") != dataset.hash():
        return None
    if dataset.parts:
        sizes = [len(part) for part in dataset.parts]
        place = spec.trained_on.index(name)
        rows = rows[(rows >= sum(sizes[:place])) & (rows < sum(sizes[: place + 1]))]
    return dataset, rows


def scale_of(
    scorer: Scorer, dataset: Dataset, rows: np.ndarray, report: Report = silent, name: str = ""
) -> Scale | None:
    """The scale of a scorer by some rows of the set that it was trained on; `name`: of which set they are."""
    name = name or scorer.about.spec.train
    table = dataset.table
    chosen = chosen_rows(table["score"].to_numpy(), rows)
    paths = dataset.paths()
    raw = []
    for done, row in enumerate(chosen):
        report(done, len(chosen), f"{name}: learning the scale of its scores, once")
        raw.append(float(scorer.raw(paths[row])[0]))
    report(len(chosen), len(chosen), f"{name}: learning the scale of its scores, once")
    labels, oriented = (table[column].to_numpy(dtype=np.float64)[chosen] for column in ("original", "score"))
    return fit_scale(name, raw, labels, oriented)
