"""Which view should guide and which be guided in GLIA: its Table 5."""

from __future__ import annotations

from typing import ClassVar

from bench.core.spec import RunSpec
from bench.planning.protocol import Protocol, Request
from bench.records.results import Results
from bench.report.table import Table
from bench.report.tables.fill import Layout
from protocols.variants import GUIDANCE, leads_of, plan_variants, variant_tables

NOTE = (
    "x_s: the whole image, resized; x_d: grid fragments of the image in its own resolution, unless a row says "
    "fragments_from=resized. (x_s, x_d) is GLIA. In every row the main stream is flipped in training, the guiding one "
    "never."
)


class Guidance(Protocol):
    """The four pairings of the semantic view x_s and the detail view x_d in GLIA (GLIA Table 5)."""

    title: ClassVar[str] = "Guidance of GLIA"
    refuses: ClassVar[tuple[str, ...]] = ("fraction", "budget")

    def plan(self, request: Request) -> list[RunSpec]:
        """The four variants; nothing where GLIA was not asked for."""
        return plan_variants(request, GUIDANCE, request.preset.guidance)

    def tables(self, results: Results) -> list[Table]:
        """One table a preset."""
        layout = Layout(
            name="guidance",
            title="Ablation experiments for the guidance prior.",
            leads=("Guidance", "Main"),
            columns=(),
            lines=(),
            counted=False,
            published=(("GLIA", "5"),),
            published_lead=leads_of(GUIDANCE),
            notes=(NOTE,),
        )
        return variant_tables(results, GUIDANCE, layout, lambda preset: preset.guidance)
