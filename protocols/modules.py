"""What LoDa's parts are worth: its Table 7."""

from __future__ import annotations

from typing import ClassVar

from bench.core.spec import RunSpec
from bench.planning.protocol import Protocol, Request
from bench.records.results import Results
from bench.report.table import Table
from bench.report.tables.fill import Layout
from protocols.variants import MODULES, leads_of, plan_variants, variant_tables


class Modules(Protocol):
    """A plain ViT, the CNN's features added to it, and LoDa's cross-attention to them (LoDa Table 7)."""

    title: ClassVar[str] = "Modules of LoDa"
    refuses: ClassVar[tuple[str, ...]] = ("fraction", "budget")

    def plan(self, request: Request) -> list[RunSpec]:
        """Full fine-tuning and LoDa without and with its injector; nothing where these were not asked for."""
        return plan_variants(request, MODULES, request.preset.modules)

    def tables(self, results: Results) -> list[Table]:
        """One table a preset."""
        layout = Layout(
            name="modules",
            title="Ablation experiments on the modules of LoDa.",
            leads=("Module",),
            columns=(),
            lines=(),
            published=(("LoDa", "7"),),
            published_lead=leads_of(MODULES),
            notes=("ViT: full fine-tuning, whose numbers LoDa's Table 7 repeats from its Table 6.",),
        )
        return variant_tables(results, MODULES, layout, lambda preset: preset.modules)
