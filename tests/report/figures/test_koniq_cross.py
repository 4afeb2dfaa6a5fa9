"""The heat map of models of KonIQ-10k on other sets: of which sets, when some are named."""

import pytest

from tests.report.figures.drawn import drawings, panels_of
from tests.report.records import records_of
from tests.report.results import specs_of


@pytest.mark.parametrize(
    ("named", "shown"),
    [
        (("koniq10k", "spaq"), ["KonIQ-10k (test)", "SPAQ"]),
        (("spaq",), ["SPAQ"]),
        (("koniq10k",), ["KonIQ-10k (test)", "SPAQ", "KADID-10k", "PIPAL", "LIVEC", "AGIQA-3K", "CSIQ", "FLIVE"]),
    ],
)
def test_only_the_named_test_sets_are_shown_and_one_can_be_named_alone(named, shown, tmp_path):
    records = records_of(specs_of("koniq_cross", "paper", "lora,glia", splits=1))
    [drawing] = drawings("koniq_cross", records, tmp_path, datasets=named)
    [axes] = panels_of(drawing)
    assert [label.get_text() for label in axes.get_xticklabels()] == shown
    assert drawing.stem == "_".join(["koniq_cross_koniq10k", *(name for name in named if name == "spaq"), "official"])
