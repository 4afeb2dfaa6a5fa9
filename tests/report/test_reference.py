"""Reference results: who reproduces them, what was not alike, and that nothing uncommitted becomes one."""

import json

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.core.errors import UsageError
from bench.records.results import Results
from bench.records.store import Store
from bench.report import reference
from bench.report.readme import CLOSE, CROSS_CLOSE, CROSS_OPEN, OPEN, STRATEGIES, cross_lines, study_lines
from bench.report.reference import folder_of, held_against, keep, make_tables_of, summary_of
from bench.report.verify import verify
from tests.report.records import body_of, predictions
from tests.report.results import specs_of

SPECS = specs_of("strategies", "study", "linear_probe,lora", splits=7)


def store_of(folder, specs, change=lambda body: body):
    store = Store(folder)
    store.ready()
    for spec in specs:
        store.write(change(body_of(spec)), predictions(spec))
    return store


def moved(by):
    def change(body):
        metrics = {t: {**m, "srcc": m["srcc"] - by} for t, m in body["metrics"].items()}
        return {**body, "metrics": metrics, "weights": {**body["weights"], "hash": "other"}}

    return change


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A reference made of seven and seven runs."""
    folder = tmp_path / "reference"
    monkeypatch.setattr(reference, "FOLDER", folder)
    target = Store(folder)
    target.ready()
    assert keep(store_of(tmp_path / "made", SPECS), target) == 14
    return target


def test_what_is_kept_is_records_with_predictions_and_without_hosts(kept):
    records = sorted(kept.runs.glob("*.json"))
    assert sorted(path.stem for path in kept.runs.glob("*.npz")) == [path.stem for path in records]
    assert len(records) == 14
    assert all("host" not in json.loads(path.read_text())["run"] for path in records)
    assert len(list(kept.sound())) == 14, "their own hashes hold"
    assert verify(kept) == (14, [])


def test_a_run_of_uncommitted_code_is_refused(tmp_path):
    def dirty(body):
        return {**body, "run": {**body["run"], "git_dirty": True}}

    with pytest.raises(UsageError, match="not made on a clean commit"):
        keep(store_of(tmp_path / "made", SPECS[:1], dirty), Store(tmp_path / "there"))


def test_smoke_runs_and_other_presets_are_left_out(tmp_path):
    specs = specs_of("main", "paper", "lora", ["live"], splits=2)
    assert keep(store_of(tmp_path / "made", specs), Store(tmp_path / "there")) == 0


def test_runs_are_the_same_near_or_other_and_what_was_not_alike_is_named(kept, tmp_path):
    near = store_of(tmp_path / "near", SPECS[:2], moved(0.004))
    assert [held.verdict for held in held_against(near, kept)] == ["near", "near"]
    assert summary_of(held_against(store_of(tmp_path / "same", SPECS), kept)).startswith(
        "14 runs of the reference made here too: 14 the same to the last digit, 0 within"
    )
    (held,) = held_against(store_of(tmp_path / "far", SPECS[:1], moved(0.2)), kept)
    assert (held.verdict, held.unlike) == ("other", ("weights",))
    assert held.difference == pytest.approx(0.2)


def test_an_undefined_number_is_the_same_as_another_and_as_no_number(kept, tmp_path):
    def undefined(body):
        return {**body, "metrics": {t: {**m, "srcc": None, "plcc": None} for t, m in body["metrics"].items()}}

    constant = store_of(tmp_path / "constant", SPECS[:1], undefined)
    assert [held.verdict for held in held_against(constant, constant)] == ["same"]
    assert [held.verdict for held in held_against(constant, kept)] == ["other"]


def test_a_run_of_another_processor_says_so(kept, tmp_path):
    def elsewhere(body):
        trained = {**body["numerics"]["trained"], "device": "Another CPU"}
        return {**moved(0.2)(body), "numerics": {**body["numerics"], "trained": trained}}

    (held,) = held_against(store_of(tmp_path / "far", SPECS[:1], elsewhere), kept)
    assert held.unlike == ("weights", "the processor")


def test_verify_holds_ones_runs_against_it(kept, tmp_path):
    same = store_of(tmp_path / "same", SPECS[:3])
    said = CliRunner().invoke(app, ["verify", "--reference", "--results", str(same.root)])
    assert "3 runs of the reference made here too: 3 the same" in " ".join(said.output.split())
    far = store_of(tmp_path / "far", SPECS[:1], moved(0.2))
    said = CliRunner().invoke(app, ["verify", "--reference", "--results", str(far.root)])
    assert said.exit_code == 1
    assert "weights" in said.output


def test_a_comparison_takes_from_it_what_one_has_not_made(kept, tmp_path):
    own = store_of(tmp_path / "own", [s for s in SPECS if s.method == "lora"])
    words = ["compare", "lora", "linear_probe", "--results", str(own.root)]
    assert CliRunner().invoke(app, words).exit_code != 0
    said = CliRunner().invoke(app, [*words, "--with", "reference"])
    assert said.exit_code == 0, said.output
    assert "over 7 splits" in " ".join(said.output.split())


def wider(spec):
    return spec.with_tests((*spec.tests, "demo_b:all"))


def test_a_run_that_is_tested_on_more_is_held_against_the_reference_on_what_both_are_tested_on(kept, tmp_path):
    own = store_of(tmp_path / "own", [wider(spec) for spec in SPECS[:2]], moved(0.2))
    assert [held.difference for held in held_against(own, kept)] == pytest.approx([0.2, 0.2])


def test_ones_own_runs_stand_alone_where_they_cover_those_of_the_reference(kept, tmp_path):
    own = Results.read(store_of(tmp_path / "own", [wider(spec) for spec in SPECS]))
    assert reference.with_records_of(own, Results.read(kept)).records == own.records
    narrow = Results.read(store_of(tmp_path / "narrow", SPECS[:1]))
    other = Results.read(store_of(tmp_path / "wide", [wider(SPECS[0])]))
    both = {tuple(record.section("metrics")) for record in reference.with_records_of(narrow, other).records}
    assert both == {SPECS[0].tests, ("demo_b:all",)}


def test_a_failed_run_of_ones_own_does_not_hide_the_references(kept, tmp_path):
    def failed(body):
        return {**body, "status": "failed", "error": {"kind": "RunError", "message": "no"}, "metrics": {}}

    own = Results.read(store_of(tmp_path / "own", SPECS[:1], failed))
    both = reference.with_records_of(own, Results.read(kept)).records
    assert len(both) == 14
    assert all(record.done for record in both)


def test_tables_are_made_of_the_records_and_lie_below_their_presets_also_where_a_metric_has_no_interval(kept, tmp_path):
    paths = make_tables_of(kept.root, tmp_path / "out")
    assert {path.relative_to(tmp_path / "out").as_posix() for path in paths} >= {"study/main_study.md"}
    assert [path.read_bytes() for path in paths] == [
        path.read_bytes() for path in make_tables_of(kept.root, tmp_path / "again")
    ]


def test_the_committed_tables_are_what_the_committed_records_say(tmp_path):
    """`make results` would change nothing."""
    assert (reference.FOLDER / "runs").is_dir()
    for path in make_tables_of(reference.FOLDER, tmp_path):
        committed = reference.FOLDER.parent / path.relative_to(tmp_path)
        assert committed.read_text() == path.read_text(), f"{committed}: make it anew with make results"


def test_the_readme_shows_the_scores_of_the_committed_demo():
    """A line for each run."""
    readme = (reference.FOLDER.parents[1] / "README.md").read_text()
    records = [r for r in Results.read(Store(reference.FOLDER)).records if r.spec.preset == "demo"]
    cross = [r for r in records if r.spec.method in ("glia", "linear_probe") and len(r.spec.tests) == 2]
    assert len(cross) == 6
    for record in cross:
        scores = {target: record.body["metrics"][target]["srcc"] for target in ("demo_b:all", "demo_wild:all")}
        said = ", ".join(f"SRCC {value:.3f} on {target}" for target, value in scores.items())
        assert f"done    {record.spec.method} on demo_a, split {record.spec.split}  {said}" in readme


def test_the_readme_shows_the_table_of_the_committed_study():
    readme = (reference.FOLDER.parents[1] / "README.md").read_text()
    lines = study_lines(Results.read(Store(reference.FOLDER)))
    assert len(lines) > len(STRATEGIES)
    assert "\n".join([OPEN, *lines, CLOSE]) in readme, "make it anew with make results"


def test_the_readme_says_of_the_committed_runs_across_sets_what_their_records_say():
    readme = (reference.FOLDER.parents[1] / "README.md").read_text()
    lines = cross_lines(Results.read(Store(reference.FOLDER)))
    assert len(lines) == 2
    assert "\n".join([CROSS_OPEN, *lines, CROSS_CLOSE]) in readme, "make it anew with make results"


def test_a_folder_without_records_is_named(tmp_path):
    with pytest.raises(UsageError, match="There are no records in"):
        folder_of(str(tmp_path))
