"""What GLIA's two interactions are worth: its Table 4."""

from __future__ import annotations

from typing import ClassVar

from bench.core.spec import RunSpec
from bench.planning.protocol import Protocol, Request
from bench.records.results import Results
from bench.report.table import Table
from bench.report.tables.fill import Layout
from protocols.variants import COMPONENTS, leads_of, plan_variants, variant_tables


class Components(Protocol):
    """GLIA without local-global fusion, without global-local refinement, and whole (GLIA Table 4)."""

    title: ClassVar[str] = "Components of GLIA"
    refuses: ClassVar[tuple[str, ...]] = ("fraction", "budget")

    def plan(self, request: Request) -> list[RunSpec]:
        """The three variants; nothing where GLIA was not asked for."""
        return plan_variants(request, COMPONENTS, request.preset.components)

    def tables(self, results: Results) -> list[Table]:
        """One table a preset."""
        layout = Layout(
            name="components",
            title="Ablation experiments for compositions of GLIA.",
            leads=("GLR", "LGF"),
            columns=(),
            lines=(),
            counted=False,
            published=(("GLIA", "4"),),
            published_lead=leads_of(COMPONENTS),
        )
        return variant_tables(results, COMPONENTS, layout, lambda preset: preset.components)
