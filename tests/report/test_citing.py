"""`bench cite`: an entry for all that is known behind a table, none that is not used, and a word for all else."""

import re
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.core.registry import METHODS as REGISTERED
from bench.core.spec import Target
from bench.planning.presets import PRESETS
from bench.records.external import Place
from bench.records.store import Store
from bench.report import citing
from bench.report.citing import cite, entries
from tests.report.records import body_of, predictions, record_of
from tests.report.results import specs_of, tables_of

USED = [
    *citing.METHODS.values(),
    *citing.DATASETS.values(),
    *citing.LOSSES.values(),
    *citing.PUBLISHED.values(),
    *[(key,) for _, key in (*citing.WEIGHTS, *citing.CNNS)],
    *citing.LIBRARIES.values(),
    ("dosovitskiy2021vit", "wightman2019timm"),
]


def keys_for(*args, **kwargs):
    return set(cite(map(record_of, specs_of(*args, **kwargs))).reasons)


def test_every_entry_is_used_and_every_key_that_is_used_has_one():
    assert {key for keys in USED for key in keys} == set(entries())


@pytest.mark.parametrize("key", sorted(entries()))
def test_an_entry_is_whole(key):
    text = entries()[key]
    fields = dict(re.findall(r"^  (\w+) = \{(.*)\},?$", text, re.MULTILINE))
    assert {"title", "author", "year"} <= set(fields)
    assert fields["year"] in key
    assert text.count("{") == text.count("}")
    assert text.isascii()
    assert ("booktitle" in fields) == text.startswith("@inproceedings")
    assert ("journal" in fields) == text.startswith("@article")
    lines = text.splitlines()[1:-1]
    assert [line.endswith(",") for line in lines] == [True] * (len(lines) - 1) + [False]


def test_every_built_in_method_has_a_paper_or_is_known_to_need_none():
    for name in REGISTERED.names():
        if REGISTERED.origin(name) == "built-in" and not REGISTERED.card(name).facts["family"]:
            assert name in citing.METHODS or name in citing.NEEDS_NONE, name


def test_every_set_and_backbone_of_the_presets_has_its_papers():
    for preset in PRESETS.values():
        assert preset.sets - {"study_metric"} <= set(citing.DATASETS)  # its labels are made here
        for backbone in {preset.backbone, *preset.backbones, *preset.scales}:
            assert citing._first(citing.WEIGHTS, backbone), backbone


def test_method_set_backbone_weights_loss_and_tools_are_cited():
    found = keys_for("main", "paper", methods="vpt", datasets=("koniq10k",), splits=1)
    backbone = {"dosovitskiy2021vit", "steiner2022augreg", "wightman2019timm"}
    assert found == {"jia2022vpt", "hosu2020koniq", "xu2024loda"} | backbone


def test_the_set_that_is_tested_on_is_cited_beside_the_one_that_is_trained_on():
    found = keys_for("cross", "paper", methods="glia", datasets=("koniq10k", "livec"), splits=1)
    assert {"hosu2020koniq", "ghadiyaram2016livec", "li2026glia"} <= found


def test_a_further_network_is_cited_as_the_record_names_it():
    spec = specs_of("main", "paper", methods="loda", datasets=("spaq",), splits=1)[0]
    weights = {
        "backbone": spec.backbone,
        "hash": "0",
        "source": "made up",
        "further": {"resnet50.a1_in1k": {"hash": "1"}},
    }
    assert "he2016resnet" in cite([record_of(spec, weights=weights)]).reasons


def test_weights_that_nobody_trained_are_not_cited_and_a_baseline_needs_no_paper():
    found = cite(map(record_of, specs_of("main", "paper", "linear_probe", ("csiq",), 1, weights="random")))
    assert "steiner2022augreg" not in found.reasons
    assert not found.missing


def test_what_has_no_entry_is_named_and_nothing_is_made_up_for_it():
    backbone = "vit_base_patch16_own"
    spec = specs_of("main", "paper", "peft:boft", ("koniq10k",), 1, backbone=backbone)[0]
    found = cite([record_of(spec)])
    assert found.missing == ["method peft:boft", f"the weights of {backbone}"]
    assert "mangrulkar2022peft" in found.reasons
    assert "oquab2023dinov2" not in found.reasons


def test_imported_scores_are_named_and_bring_in_neither_backbone_nor_loss():
    place = Place("paper", "koniq10k", Target.of("koniq10k"), 0)
    found = cite([record_of(place.spec("external:q-align"))])
    assert found.missing == ["method external:q-align"]
    assert set(found.reasons) == {"hosu2020koniq"}


def test_a_fit_in_closed_form_cites_no_loss():
    spec = specs_of("main", "paper", "ridge", ("koniq10k",), 1)[0]
    assert "xu2024loda" not in cite([record_of(spec, loss=[])]).reasons
    assert "xu2024loda" in cite([record_of(spec)]).reasons


def test_a_metric_of_pyiqa_s_cites_the_toolbox():
    found = cite(map(record_of, specs_of("main", "paper", "pyiqa:niqe", ("koniq10k",), 1)))
    assert "chen2022pyiqa" in found.reasons
    assert found.missing == ["method pyiqa:niqe"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path / "results")
    wanted = specs_of("main", "paper", methods="glia,lora", datasets=("koniq10k",), splits=2)
    for spec in wanted + specs_of("cross", "paper", methods="ssf", datasets=("koniq10k", "livec"), splits=1):
        store.write(body_of(spec), predictions(spec))
    return tmp_path


def bench(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def keys_in(text):
    return set(re.findall(r"^@\w+\{(\w+),", text, re.MULTILINE))


def test_the_command_prints_the_entries_of_the_tables_that_are_named(home):
    done = bench("cite", "main")
    assert done.exit_code == 0, done.output
    assert {"glia_bench", "li2026glia", "hu2022lora", "hosu2020koniq"} <= keys_in(done.output)
    assert not {"lian2022ssf", "ghadiyaram2016livec"} & keys_in(done.output)
    assert "xu2024loda" in keys_in(done.output)  # its printed rows stand there
    assert "% method glia, published numbers of GLIA" in done.output
    whole = bench("cite")
    assert {"lian2022ssf", "ghadiyaram2016livec"} <= keys_in(whole.output)


def test_a_selection_cites_no_more_than_it_shows_and_a_file_holds_what_is_printed(home):
    done = bench("cite", "main", "-m", "lora", "--out", "refs.bib")
    assert done.exit_code == 0, done.output
    text = (home / "refs.bib").read_text()
    assert "% method glia" not in text
    assert keys_in(bench("cite", "main", "-m", "lora").output) == keys_in(text)
    assert f"Written: refs.bib ({len(keys_in(text))} entries)" in done.output


def test_a_folder_without_records_and_an_unknown_protocol_are_errors_in_a_line(home):
    assert bench("cite", "mian").exit_code == 2
    assert bench("cite", "--results", "nowhere").exit_code == 2
    assert bench("cite", "gmad", "-m", "glia").exit_code == 2


def test_a_table_cites_no_backbone_fraction_or_loss_that_is_not_in_it():
    asked = {"methods": "loda,lora", "datasets": ("koniq10k",), "splits": 1}
    specs = specs_of("strategies,data_efficiency", "paper", **asked)
    specs += specs_of("pretraining", "paper", "loda", ("koniq10k",), 1)
    specs += [replace(spec, recipe=replace(spec.recipe, loss="l1")) for spec in specs if spec.method == "lora"]
    records = [record_of(spec) for spec in specs]
    table = tables_of("strategies", records)["strategies"]
    behind = [record.spec for record in citing.records_behind(table, records)]
    assert len({spec.key for spec in behind}) == 3
    assert {(spec.backbone, spec.fraction) for spec in behind} == {(PRESETS["paper"].backbone, 0.8)}
    assert "he2022mae" not in cite(citing.records_behind(table, records)).reasons
