"""Trained on several sets at once, tested on each of them and on others: what scales that never meet teach together."""

from __future__ import annotations

from typing import ClassVar, Literal

from bench.core.errors import UsageError
from bench.core.mixes import is_mix, sets_of
from bench.core.spec import RunSpec, Target
from bench.planning.protocol import Protocol, Request
from bench.records.results import Experiment, Results
from bench.report.table import Table
from bench.report.tables.fill import Column, Layout, Line, PresetResults, by_preset, dataset_title, fill

IN_THE_MIX, NOT_TRAINED_ON = "Trained on: test part", "Not trained on: whole"
NOTE = (
    "All sets of a row's mix are trained on together; the loss is taken within each set's share of a batch, so no two "
    "scales meet."
)


class Joint(Protocol):
    """SRCC of models that learned several sets at once, on each set's test part and on all of other sets."""

    title: ClassVar[str] = "Several sets at once"
    pairs: ClassVar[bool] = True
    mixes: ClassVar[bool] = True
    looks_for_shared_pictures: ClassVar[bool] = True
    refuses: ClassVar[tuple[str, ...]] = ("fraction",)

    shares: Literal["equal", "size"] = "equal"
    """What each set's share of a batch goes by: the same for all, or the size of its training part."""

    def plan(self, request: Request) -> list[RunSpec]:
        """One training a mix and split; its model is tested on each set's own test part and on all of others."""
        mixes = request.mixed(request.preset.joint, request.preset.matrix, self.shares)
        specs = [
            request.spec(
                method, mix, [*map(Target.of, sets_of(mix)), *(Target.of(name, "all") for name in others)], split
            )
            for split in range(request.splits)
            for mix, others in mixes
            for method in request.chosen("linear_probe", "full_finetune", "adapter", "lora", "vpt", "loda", "glia")
        ]
        for spec in specs:
            _refuse_small_shares(spec)
        return specs

    def tables(self, results: Results) -> list[Table]:
        """One table a preset and mix."""
        return [
            table
            for part in by_preset(results)
            for mix in sorted({e.train for e in part.experiments() if is_mix(e.train)})
            if (table := _table(part, mix)) is not None
        ]


def _refuse_small_shares(spec: RunSpec) -> None:
    """Equal shares are known before any set is read."""
    sets = len(spec.trained_on)
    if spec.recipe.batch < 2 * sets:
        raise UsageError(
            f"batch={spec.recipe.batch} leaves {sets} sets fewer than two pictures each in a batch, and no correlation "
            f"can be taken over one: use at least batch={2 * sets}."
        )


def _table(part: PresetResults, mix: str) -> Table | None:
    on_mix = [e for e in part.experiments() if e.train == mix and e.source == "split" and e.fraction == 0.8]
    order = {name: place for place, name in enumerate(dict.fromkeys((*part.preset.matrix, *part.preset.main)))}
    experiments = sorted(on_mix, key=lambda e: (e.part == "all", order.get(e.tested, len(order)), e.tested))
    columns = [_column(experiment) for experiment in experiments]
    arms = part.arms_in(columns)
    if not arms:
        return None
    name = mix.replace("+", "_").replace("@", "_by_")
    layout = Layout(
        name=f"joint_{name}",
        title=f"SRCC of models that were trained on {dataset_title(mix)} together.",
        leads=("Method",),
        columns=tuple(columns),
        lines=tuple(Line((arm.title,), arm, arm) for arm in arms),
        notes=(NOTE,),
    )
    return fill(part, layout)


def _column(experiment: Experiment) -> Column:
    group = NOT_TRAINED_ON if experiment.part == "all" else IN_THE_MIX
    return Column(group, experiment, name=dataset_title(experiment.tested))
