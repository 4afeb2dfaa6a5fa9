"""Where imported scores stand: in each place of a finished whole run on their set, fold by fold and seed by seed."""

from dataclasses import replace

from bench.core.spec import Target
from bench.records.external import Place, places_beside, spans
from bench.records.results import Results
from tests.report.records import record_of, records_of
from tests.report.results import specs_of, tables_of


def under_seeds(specs, *seeds):
    return [replace(spec, recipe=replace(spec.recipe, seed=seed)) for spec in specs for seed in seeds]


def test_failed_smoke_and_smaller_runs_and_other_sets_make_no_place():
    whole = specs_of("main", methods="glia", datasets=("demo_a", "demo_b"), splits=1)
    smoke = specs_of("main", methods="glia", datasets=("demo_a",), splits=1, limit=9)
    less = specs_of("data_efficiency", methods="glia", datasets=("demo_a",), splits=2)
    failed = [record_of(spec, error=("RunError", "no")) for spec in specs_of("main", methods="lora", splits=3)]
    found = places_beside(Results([*records_of([*whole, *smoke, *less]), *failed]), "demo_a")
    assert {(place.train, place.split) for place in found} == {("demo_a", 0), ("demo_a", 1)}
    assert {place.target for place in found} == {Target.of("demo_a")}


def test_imported_scores_make_no_place_for_further_ones():
    place = Place("demo", "demo_a", Target.of("demo_a"), 0)
    assert not places_beside(Results([record_of(place.spec("external:theirs"))]), "demo_a")


def test_in_k_fold_every_fold_under_every_seed_is_a_place_and_the_row_is_complete():
    folds = specs_of("main", methods="glia,lora", datasets=("demo_a",), splits=3, split_rule="kfold:3")
    runs = records_of(under_seeds(folds, 0, 1))
    places = places_beside(Results(runs), "demo_a")
    assert {(place.split, place.seed) for place in places} == {(split, seed) for split in range(3) for seed in (0, 1)}
    records = [*runs, *(record_of(place.spec("external:theirs")) for place in places)]
    (table,) = [table for table in tables_of("main", records).values() if "ranking" not in table.name]
    (row,) = [row for row in table.rows if "theirs (external)" in row.lead[0]]
    assert row.lead[0].startswith("theirs (external)")
    assert "=" not in row.lead[0]
    assert all((cell.n, cell.of) == (6, 6) for cell in row.cells)


def test_on_random_splits_runs_under_several_seeds_share_a_place():
    runs = records_of(
        under_seeds(specs_of("main", methods="glia", datasets=("demo_a",), splits=2, split_rule="random"), 0, 1)
    )
    assert {place.seed for place in places_beside(Results(runs), "demo_a")} == {0}


def test_places_are_told_by_what_sets_them_apart():
    places = [Place("demo", "a", Target.of("a"), split) for split in (0, 1, 2)]
    places += [Place("paper", "b", Target.of("a", "all"), 3, "all", "official", "val")]
    assert list(spans(places)) == [
        "preset demo, a:test, splits 0 to 2",
        "preset paper, trained on b → a:all, all, official, val, split 3",
    ]
