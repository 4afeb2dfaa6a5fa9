"""What numbers, and the order of methods, owe to choices that papers make differently: one turned at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import ClassVar

from bench.core.errors import UsageError
from bench.core.progress import counted
from bench.core.spec import RunSpec, Target
from bench.planning.protocol import Protocol, Request
from bench.planning.usual import fact_of
from bench.records.results import Results
from bench.report.table import Table
from bench.report.tables.fill import by_preset
from protocols.switches import SWITCHES, chosen_switches, refuse_tuned, setting_of, switches_at, turned
from protocols.turned_tables import tables_of_preset


class Sensitivity(Protocol):
    """Rate, crops, PLCC, epoch, head, loss, short side, split and precision, one at a time (in none of the papers)."""

    title: ClassVar[str] = "Sensitivity to the protocol"
    refuses: ClassVar[tuple[str, ...]] = ("fraction",)

    switches: str = "all"
    """What is turned, with commas: rate, crops, plcc, epoch, head, loss, short_side, split, precision."""

    def plan(self, request: Request) -> list[RunSpec]:
        """Each method as it is (the runs of `main`), then once more for every value of a switch that it notices."""
        switches = chosen_switches(self.switches)
        if [switch.name for switch in switches] == ["plcc"]:
            raise UsageError(
                "switches=plcc turns no run, for records hold both: name another switch beside it, or see "
                "`bench table main --plcc raw`."
            )
        found: list[RunSpec] = []
        known: dict[tuple[object, ...], list[RunSpec]] = {}
        for split in range(request.splits):
            for dataset in request.wanted(request.preset.sensitivity):
                for method in request.chosen("linear_probe", "full_finetune", "adapter", "lora", "vpt", "loda", "glia"):
                    if not _stands_on_runs(method.name):
                        base = request.spec(method, dataset, [Target.of(dataset)], split)
                        refuse_tuned(base, switches)
                        alike = (method.name, dataset, base.recipe, *base.options.items())
                        if alike not in known:
                            known[alike] = [spec for _, _, spec in turned(base, switches)]
                        found += [base, *(replace(spec, split=split) for spec in known[alike])]
        return found

    def says(self, request: Request, specs: Sequence[RunSpec]) -> list[str]:
        """How many trainings it takes, for what, and which of them are none."""
        of_split = [spec for spec in specs if spec.split == specs[0].split]
        runs = Counter(setting_of(spec) for spec in of_split)
        splits = Counter((spec.method, spec.train, spec.split) for spec in specs)
        changed: Counter[str] = Counter()
        for base, others in switches_at(runs).items():
            count = len({split for method, train, split in splits if (method, train) == (base.method, base.train)})
            for (switch, _), setting in others.items():
                changed[switch.name] += runs[setting] * count
        plain = len(specs) - changed.total()
        named = ", ".join(f"{switch.name} {changed[switch.name]}" for switch in SWITCHES if changed[switch.name])
        said = [
            f"sensitivity: {counted(plain, 'run')} as they are, which main makes too, and {changed.total()} with one "
            f"thing changed ({named}). Time: --dry-run. Fewer: --set switches=rate,loss, --splits, --method."
        ]
        if again := changed["crops"]:
            said.append(
                f"Of those, the {again} of crops only test again what is trained already where its weights are kept: "
                'of methods up to 64 MB unasked, of all with keep_weights = "always". Raw and mapped PLCC need no run.'
            )
        if left := [m.name for m in request.methods if _stands_on_runs(m.name)]:
            said.append(f"Left out of sensitivity: {', '.join(left)}, for it is made of other runs.")
        return said

    def tables(self, results: Results) -> list[Table]:
        """For each preset what moved and whether the order survives, then every difference."""
        made: list[Table] = []
        for _, parts in groupby(by_preset(results), key=lambda part: part.preset.name):
            made += tables_of_preset(list(parts))
        return made


def _stands_on_runs(method: str) -> bool:
    return bool(fact_of(method, "stands_on") == "runs")
