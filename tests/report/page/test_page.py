"""The page without a browser: a pure function of records, whole, escaped, small, and honest about what is missing."""

import json
import random
import re
import shlex
from dataclasses import replace

import pytest

from bench.planning.plan import Ask as RunAsk
from bench.planning.plan import make_plan
from bench.records.results import Record, Results
from bench.report.arms import arms_of
from bench.report.page.commands import commands_of
from bench.report.page.explorer import explorer
from bench.report.page.render import Ask, make_page
from bench.report.page.runs import CHOSEN
from tests.report.page.worlds import EVIL_PICTURE, EVIL_SET, demo, evil, paper
from tests.report.records import body_of, predictions, record_of
from tests.report.results import specs_of


@pytest.fixture(scope="module")
def page():
    return make_page(paper())


def texts(html):
    """What a reader sees of some HTML."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


# --- what it is ----------------------------------------------------------------------------------------------------


def test_the_same_records_give_the_same_bytes_in_whatever_order_they_are_read():
    records = list(demo().records)
    html = make_page(Results(records)).html
    random.Random(0).shuffle(records)
    assert make_page(Results(records)).html == html


def test_it_needs_nothing_else(page):
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]', page.html)
    assert "http://" not in page.html.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page.html
    assert "default-src &#39;none&#39;" in page.html


def test_the_front_has_what_was_run_a_sentence_a_set_intervals_and_costs(page):
    front = page.parts["front"]
    for said in (
        "KonIQ-10k",
        "LIVEC",
        "KonIQ-10k → LIVEC",
        "weights 0123456789ab",
        "c0ffeec0ff",
        "fp32",
        "10; random 80%",
    ):
        assert said in texts(front), said
    assert len(page.sentences) == 4
    assert all(texts(sentence) in texts(front) for sentence in page.sentences)
    assert front.count('class="interval') == 3 * 4
    for name in ("Trainable", "Total", "On disk", "Training", "Images/s", "GFLOPs", "Peak memory"):
        assert re.search(rf"<th[^>]*>{name}</th>", front)


def test_a_set_has_its_scores_its_splits_every_split_of_every_method_and_its_distortions(page):
    sets = page.parts["sets"]
    for title in ("Scores", "Every split", "Less of KonIQ-10k", "By family of distortions", "By distortion"):
        assert f"<strong>{title}</strong>" in sets
    assert "critical difference" in sets
    assert 'class="heat"' in sets
    assert sets.count('class="pair"') > 10


def test_the_explorer_has_a_row_for_every_arm_on_everything_it_was_tested_on():
    results = paper()
    data = explorer(results)
    rows = [dict(zip(data["columns"], row, strict=True)) for row in data["rows"]]
    wanted = {
        (arms_of(results.records)[r], r.spec.train, r.spec.fraction, target)
        for r in results.records
        for target in r.spec.tests
    }
    assert len(rows) == len(wanted)
    keys = {key for row in rows for _, key, _ in row["runs"]}
    assert keys == {record.key for record in results.records}


def test_published_tables_stand_beside_what_the_paper_preset_measured_and_never_beside_a_demo(page):
    assert "Measured here" in page.parts["published"]
    assert "Copied from LoDa" in page.parts["published"] or "Table 1 of medians" in page.parts["published"]
    assert "Measured here" not in make_page(demo()).parts["published"]


def test_smoke_runs_never_stand_beside_what_the_papers_printed():
    smoke = [record_of(spec) for spec in specs_of("main", "paper", "lora", ["koniq10k"], splits=3, limit=40)]
    assert "Measured here" not in make_page(Results(smoke)).parts["published"]


def test_presets_and_smoke_runs_stand_in_chapters_of_their_own():
    smoke = records = specs_of("main", "demo", "glia,lora", ["demo_b"], splits=1, limit=40)
    records = [*demo().records, *paper().records, *map(record_of, smoke)]
    front = make_page(Results(records)).parts["front"]
    assert re.findall(r'class="chapter wide" aria-label="([^"]*)"', front) == ["Preset paper", "Preset demo"]
    only = make_page(Results(map(record_of, smoke))).parts["front"]
    assert "Smoke runs on a few pictures" in only


# --- one run -------------------------------------------------------------------------------------------------------


def test_a_run_shows_where_it_errs_most():
    results = demo()
    runs = json.loads(make_page(results).parts["runs"])
    record = next(r for r in results.records if r.key == runs["runs"][0]["key"])
    target = "demo_a:test"
    test = runs["runs"][0]["tests"][0]
    names = [runs["texts"][number] for number in test["names"]]
    found = record.predictions(target)
    human = dict(zip(found.names.tolist(), found.human.tolist(), strict=True))
    assert len(names) == 20
    errors = [judged - human[name] for name, (judged, _) in zip(names, test["errors"], strict=True)]
    assert errors[:10] == sorted(errors[:10], reverse=True)
    assert min(errors[:10]) > max(errors[10:])


@pytest.mark.parametrize(
    ("protocols", "preset", "more"),
    [
        ("main,cross", "demo", {}),
        ("main,cross", "paper", {}),
        ("data_efficiency", "paper", {}),
        ("cross", "demo", {"source": "all"}),
        ("main", "demo", {"limit": 40, "weights": "random", "precision": "bf16"}),
        ("main", "study", {}),
    ],
)
def test_the_command_that_a_run_shows_makes_that_very_run(protocols, preset, more):
    specs = [replace(spec, **more) for spec in specs_of(protocols, preset, "glia,lora", (), splits=2)]
    changed = [replace(spec, recipe=replace(spec.recipe, lr=0.0123, seed=3)) for spec in specs[:2]]
    wide = [replace(s, options={**s.options, "rank": 32}) for s in specs[:4] if "rank" in s.options]
    for spec in [*specs, *changed, *wide]:
        arm = next(iter(arms_of([record_of(spec)]).values()))
        made = [s for line in commands_of(spec, arm) for s in make_plan(asked(line)).specs]
        assert spec.training_key in {s.training_key for s in made}, commands_of(spec, arm)
        assert set(spec.tests) <= {target for s in made for target in s.tests}


def asked(line):
    """What `bench run` makes of a command line."""
    words = shlex.split(line)[2:]
    flags: dict[str, list[str]] = {}
    for name, value in zip(words[::2], words[1::2], strict=True):
        flags.setdefault(name, []).append(value)

    def names(flag):
        return [name for value in flags.get(flag, []) for name in value.split(",")]

    return RunAsk(
        methods=names("-m"), protocols=names("-p"), preset=flags["--preset"][0], datasets=names("-d"),
        train_on=names("--train-on"), test_on=names("--test-on"), splits=int(flags["--splits"][0]),
        settings=flags.get("--set", []), limit=int(flags.get("--limit", ["0"])[0]),
        weights=flags.get("--weights", ["pretrained"])[0], precision=flags.get("--precision", ["fp32"])[0],
    )  # fmt: skip


def test_steps_that_a_run_noted_are_shown_thinned():
    key = demo().records[0].key
    steps = [{"step": step, "epoch": 1, "loss": 1 / step, "lr": 0.1, "images_s": 9.0} for step in range(1, 1001)]
    page = make_page(demo(), Ask(log_of=lambda wanted: steps if wanted == key else []))
    runs = json.loads(page.parts["runs"])["runs"]
    log = next(run["log"] for run in runs if run["key"] == key)
    assert (log["step"][0], log["step"][-1]) == (1, 1000)
    assert len(log["loss"]) <= 120
    assert all(run["log"] == {} for run in runs if run["key"] != key)


def test_a_page_of_one_run_holds_that_run_alone():
    record = demo().records[3]
    page = make_page(demo(), Ask(only=record.key))
    assert [run["key"] for run in json.loads(page.parts["runs"])["runs"]] == [record.key]
    assert set(page.parts) == {"runs", "pictures"}


# --- bad input -----------------------------------------------------------------------------------------------------


def test_names_from_files_are_text_and_never_markup():
    html = make_page(evil()).html
    assert EVIL_SET not in html
    assert EVIL_PICTURE not in html
    assert "<b onclick" not in html
    assert "&lt;script&gt;window.broken=1" in html
    data = re.search(r'<script type="application/json" data-part="runs">(.*?)</script>', html, re.DOTALL)[1]
    assert any(EVIL_PICTURE in text for text in json.loads(data)["texts"])


def test_only_failed_runs_are_said_with_their_reasons():
    specs = specs_of("main", "demo", "glia,lora", ["demo_a"], splits=2)
    failed = [Record.from_dict(body_of(spec, error=("OutOfMemory", "no room"))) for spec in specs]
    front = texts(make_page(Results(failed)).parts["front"])
    assert "4 runs here, and none of them came to an end." in front
    assert "4 failed: OutOfMemory: no room" in front


def test_one_split_has_no_interval_and_that_is_said():
    page = make_page(demo(splits=1))
    assert 'class="interval' not in page.parts["front"]
    assert "1 of 3 splits cannot tell them apart" in page.sentences[0]


def test_records_of_an_earlier_schema_stand_beside_others_and_are_named():
    old = []
    for spec in specs_of("main", "demo", "glia", ["demo_a"], splits=3):
        body = body_of(spec)
        spec = replace(spec, schema=1)
        old.append(Record(spec, {**body, "schema": 1, "key": f"old{spec.split}"}, lambda: {}))
    data = explorer(Results([*demo().records, *old]))
    assert any("schema=1" in text for text in data["texts"])
    assert make_page(Results([*demo().records, *old])).html


def test_records_without_predictions_or_any_further_field_make_a_page_all_the_same():
    bare = []
    for spec in specs_of("main,cross", "demo", "glia,lora", ["demo_a", "demo_b"], splits=3):
        body = body_of(spec)
        kept = {name: body[name] for name in ("schema", "key", "status", "error", "spec", "metrics", "code")}
        bare.append(Record.from_dict(kept))
    page = make_page(Results(bare))
    assert "Its predictions are not here." in page.parts["runs"]
    assert len(page.sentences) == 3


def test_damaged_predictions_are_said_where_they_would_be_shown():
    def damaged():
        from bench.core.errors import StoreError

        raise StoreError("The predictions cannot be read.")

    records = [replace(record, arrays=damaged) for record in demo().records]
    assert "The predictions cannot be read." in make_page(Results(records)).parts["runs"]


@pytest.mark.slow
def test_five_hundred_runs_fit_into_five_megabytes():
    specs = specs_of("main", "paper", "linear_probe,full_finetune,adapter,lora,vpt,loda,glia", (), splits=9)[:500]
    page = make_page(Results(large(record_of(spec)) for spec in specs))
    assert len(json.loads(page.parts["runs"])["runs"]) == len(specs)
    assert len(page.html.encode()) < 5_000_000


def large(record):
    """The record with the predictions of a test part of KonIQ's size, and a long training."""
    import numpy as np

    small = predictions(record.spec)
    arrays = {name: np.resize(values, 2000) for name, values in small.items()}
    for target in record.spec.tests:
        arrays[f"{target}/names"] = np.array([f"koniq/1024x768/{record.spec.split}{i:09}.jpg" for i in range(2000)])
    return replace(record, body={**record.body, "loss": [1 / (1 + n) for n in range(100)]}, arrays=lambda: arrays)


@pytest.mark.slow
def test_of_many_records_all_have_rows_and_the_most_read_have_details():
    specs = specs_of("main,cross", "paper", "glia,lora,loda,vpt", (), splits=10)
    many = [replace(spec, recipe=replace(spec.recipe, seed=seed)) for seed in range(3) for spec in specs]
    results = Results(map(record_of, many))
    page = make_page(results)
    details = json.loads(page.parts["runs"])
    rows = json.loads(page.parts["explorer"])
    assert len(details["runs"]) == CHOSEN
    assert details["all"] == len(results)
    place = rows["columns"].index("runs")
    assert {key for row in rows["rows"] for _, key, _ in row[place]} == {record.key for record in results.records}
    assert all(run["label"] is not None for run in details["runs"])


def study_page(scores, seeds, split_rule="kfold:7"):
    """The page of made-up scores by method and seed on the folds of the study."""
    folds = int(split_rule.partition(":")[2])
    specs = [
        replace(s, split_rule=split_rule, recipe=replace(s.recipe, seed=seed))
        for s in specs_of("main", "study", ",".join(scores), ["study"], splits=folds)
        for seed in range(seeds[s.method])
    ]
    metrics = {s.key: {"srcc": scores[s.method][s.recipe.seed] + 0.01 * s.split} for s in specs}
    return make_page(Results([record_of(s, metrics={"study:test": metrics[s.key]}) for s in specs]))


def test_a_sentence_is_over_folds_whatever_the_seeds():
    page = study_page({"lora": [0.5, 0.9], "glia": [0.6, 0.6], "vpt": [0.4]}, {"lora": 2, "glia": 2, "vpt": 1})
    assert page.sentences[0] == (
        "LoRA is ahead on Study: .100 [.100, .100] SRCC above GLIA, the next best, over 7 splits."
    )


def test_runs_of_one_fold_go_by_its_number_and_their_seed_and_folds_are_counted_once():
    page = study_page({"lora": [0.5, 0.7], "glia": [0.6, 0.6]}, {"lora": 2, "glia": 2})
    assert "LoRA, split 6, seed 1: .760" in page.parts["front"]
    assert "split 13" not in page.parts["front"]
    assert "median SRCC .630 of 7," in page.parts["front"]
    data = json.loads(page.parts["explorer"])
    rows = [dict(zip(data["columns"], row, strict=True)) for row in data["rows"]]
    assert {row["splits"] for row in rows} == {7}
    assert {name for row in rows for name, _, _ in row["runs"]} == {
        f"split {fold}, seed {seed}" for fold in range(7) for seed in range(2)
    }


def test_two_folds_under_three_seeds_tell_nothing_and_are_called_two():
    page = study_page({"lora": [0.5] * 3, "glia": [0.6] * 3}, {"lora": 3, "glia": 3}, "kfold:2")
    assert "2 splits cannot tell them apart" in page.sentences[0]
