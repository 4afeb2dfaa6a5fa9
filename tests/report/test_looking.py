"""Looking at results and at the cache: what is shown, what is left out, and what is written where."""

import errno
import json
import re
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.cli.console import DEBUG
from bench.core.registry import METHODS, PROTOCOLS
from bench.data.caches import cache_entries
from bench.records.results import Results
from bench.records.store import Store
from bench.report.arms import method_title
from bench.report.compare import compare
from bench.report.table import Number, Row, Table
from bench.report.tables.rendering.text import number_text
from tests.core.plugins import edit, register, write_copy
from tests.report.records import body_of, predictions, record_of
from tests.report.results import specs_of, tables_of

THREE = "glia,lora,linear_probe"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with made-up records: three methods on two sets, and a smoke run of one of them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GLIA_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "160")
    DEBUG["on"] = False
    store = Store(tmp_path / "results")
    specs = specs_of("main,cross", "demo", THREE, ["demo_a", "demo_b"], splits=2)
    specs += specs_of("main", "paper", "lora", ["livec"], splits=2)
    specs += specs_of("main", "demo", "glia", ["demo_a"], splits=1, limit=40)
    for spec in specs:
        store.write(body_of(spec), predictions(spec))
    return tmp_path


def bench(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def written(home):
    folder = home / "results" / "tables"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_all_methods_are_every_one_there_is_in_tables_citations_and_the_report(home):
    assert bench("table", "main", "-m", "all").stdout == bench("table", "main").stdout
    assert "Written: results/tables/main_demo.md" in bench("table", "main", "-m", "all").stdout, "nothing is left out"
    assert bench("cite", "main", "-m", "all").stdout == bench("cite", "main").stdout
    assert bench("report", "-m", "all").stdout == bench("report").stdout


def test_a_comparison_names_the_files_that_it_passes_over(home):
    (home / "results" / "runs" / "junk.json").write_text("{")
    result = bench("compare", "glia", "lora")
    assert result.exit_code == 0, result.output
    assert "Not used: junk.json" in result.stderr


def test_smoke_runs_are_left_out_with_one_line_until_they_are_asked_for(home):
    usual = bench("table", "main")
    assert usual.exit_code == 0, usual.output
    assert "1 smoke run (made with --limit) left out; --smoke shows them." in usual.stderr
    assert "limit=40" not in usual.stdout
    before = {path: path.read_bytes() for path in (home / "results" / "tables").iterdir()}
    smoke = bench("table", "main", "--smoke")
    assert "limit=40" in smoke.stdout
    assert "left out" not in smoke.stderr
    assert "main_demo_smoke.md" in written(home)
    assert before == {path: path.read_bytes() for path in before}  # the usual tables are as they were


def test_nothing_but_smoke_runs_is_said_to_be_so(home):
    spec = specs_of("main", "demo", "glia", ["demo_a"], splits=1, limit=40)[0]
    Store(home / "other").write(body_of(spec), predictions(spec))
    result = bench("table", "--results", "other")
    assert result.exit_code == 2
    assert "1 smoke run" in result.stderr
    assert "--smoke" in result.stderr


def test_a_table_of_some_methods_datasets_and_presets_does_not_replace_the_whole_one(home):
    result = bench("table", "main", "-m", "lora,linear_probe", "-d", "demo_b", "--preset", "demo")
    assert result.exit_code == 0, result.output
    for shown in ("LoRA", "Linear probe", "Demo B"):
        assert shown in result.stdout
    for hidden in ("GLIA", "Demo A", "LIVEC"):
        assert hidden not in result.stdout
    assert "--out DIR" in result.stderr
    assert written(home) == []
    assert bench("table", "main", "-m", "lora", "--out", "mine", "--format", "md").exit_code == 0
    assert sorted(path.name for path in (home / "mine").iterdir()) == ["main.md", "main_demo.md"]


def test_datasets_named_for_a_table_are_those_it_trains_and_tests_on(home):
    both = bench("table", "cross", "-d", "demo_a,demo_b").stdout
    assert "→ Demo B" in both
    assert bench("table", "cross", "-d", "demo_a").exit_code == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-m", "gila"], "Did you mean glia"),
        (["-d", "demo_c"], "Did you mean demo_"),
        (["--preset", "dmeo"], "preset='dmeo' is none of demo, study, paper."),
        (["nope"], "Unknown protocol 'nope'"),
        (["-m", "vpt"], "none of --method vpt"),
    ],
)
def test_what_no_record_has_is_said_by_name(home, words, says):
    result = bench("table", *words)
    assert result.exit_code == 2
    assert says in result.stderr


def test_one_of_several_names_without_records_is_told(home):
    result = bench("table", "main", "-m", "lora,vpt", "-d", "demo_a,csiq")
    assert result.exit_code == 0
    assert "No record here is of vpt." in result.stderr
    assert "No record here is of csiq." in result.stderr


@pytest.fixture
def read_only(home, monkeypatch):
    """Nothing can be written, as in a colleague's folder (permissions do not bind the tests where root runs them)."""

    def refused(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("bench.core.files.tempfile.NamedTemporaryFile", refused)


@pytest.mark.usefixtures("read_only")
def test_a_table_is_shown_where_it_cannot_be_written(home):
    result = bench("table", "main")
    assert result.exit_code == 0, result.output
    assert "Linear probe" in result.stdout
    assert "--out DIR" in result.stderr
    assert "--results" not in result.stderr
    asked = bench("table", "main", "--out", "there")
    assert asked.exit_code == 1
    assert "Linear probe" in asked.stdout


@pytest.mark.usefixtures("read_only")
@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["new", "method", "my_idea"], "--in DIR"),
        (["run", "-m", "linear_probe", "-d", "demo_a", "--preset", "demo", "--splits", "1"], "--results DIR"),
        (["splits", "demo_a", "--splits", "1", "--export", "x.csv"], "choose another place"),
    ],
)
def test_what_cannot_be_written_comes_with_advice_that_works(home, monkeypatch, words, advice):
    monkeypatch.setattr("bench.data.locate.load_dataset", lambda *_, **__: made_up_set())
    result = bench(*words)
    assert result.exit_code == 1, result.output
    assert advice in result.stderr
    assert ("--results" in result.stderr) == (words[0] == "run")


def made_up_set():
    import pandas as pd

    from bench.data.dataset import Dataset

    table = pd.DataFrame({"image": list("abcdef"), "group": list("abcdef"), "score": range(6)})
    return Dataset("demo_a", None, table, grouped=True)


@pytest.mark.parametrize(
    "words",
    [["status"], ["verify"], ["table"], ["figure"], ["compare", "glia", "lora"]],
)
def test_a_results_folder_that_is_not_there_is_an_error(home, words):
    result = bench(*words, "--results", "/typo")
    assert result.exit_code == 2
    assert "There is no results folder /typo" in result.stderr
    assert "bench run" in result.stderr


BROKEN = '''
"""A protocol that was not finished."""
from bench.planning.protocol import Protocol
from bench.report.table import Number, Row, Table

class Unfinished(Protocol):
    name = "unfinished"
    def plan(self, request):
        return []
    def tables(self, results):
        return [Table("unfinished", "Unfinished", ("Method",), (("", "SRCC"),), (Row("glia", (Number(0.5),)),))]
'''


def test_a_broken_protocol_costs_its_own_table_one_line_and_the_exit_status(home, monkeypatch):
    monkeypatch.setattr(PROTOCOLS, "_targets", dict(PROTOCOLS._table()))  # forgotten after
    (home / "unfinished.py").write_text(BROKEN)
    result = bench("table", "--plugin", "unfinished.py")
    assert result.exit_code == 1
    assert "Performance comparison" in result.stdout
    assert "main_demo.md" in written(home)
    (line,) = [line for line in result.stderr.splitlines() if "unfinished" in line]
    assert line.startswith("Left out: unfinished. Its code fails with ValueError: table unfinished: lead of a row")
    alone = bench("table", "unfinished", "--plugin", "unfinished.py")
    assert alone.exit_code == 1
    assert "Left out: unfinished" in alone.stderr
    assert isinstance(bench("--debug", "table", "unfinished", "--plugin", "unfinished.py").exception, ValueError)
    DEBUG["on"] = False


@pytest.mark.parametrize("row", [Row("x", (Number(1.0),)), Row(("x",), ()), Row(("x", "y"), (Number(1.0),))])
def test_a_row_that_does_not_fit_its_table_is_refused(row):
    with pytest.raises(ValueError, match="of a row is"):
        Table("t", "T", ("Method",), (("", "SRCC"),), (row,))


def test_verify_and_status_say_nothing_of_what_there_is_none_of(home):
    assert re.search(r"\d+ records checked: everything fits\.", bench("verify").stdout)
    assert "stopped" not in bench("status").stdout
    (home / "results" / "checkpoints").mkdir()
    (home / "results" / "checkpoints" / "0.safetensors").write_bytes(b"")
    assert "1 stopped in the middle goes on from where it was." in bench("status").stdout
    record = next((home / "results" / "runs").glob("*.json"))
    record.write_text(record.read_text().replace('"demo"', '"omed"'))
    assert "checked: 1 thing does not fit." in bench("verify").stdout


def test_a_number_that_rounds_to_nothing_has_no_sign():
    assert number_text(Number(-0.0004, n=1, of=1)) == "0.000"
    assert number_text(Number(-0.0006, n=1, of=1)) == "−0.001"


def test_one_comparison_is_told_once():
    records = [record_of(spec) for spec in specs_of("main", "demo", "glia,lora", ["demo_a"], splits=3)]
    (found,) = compare(Results(records), "glia", "lora")
    assert len(found.sentences) == 1
    assert found.summary == ""


@pytest.mark.parametrize(("count", "said"), [(3, "Demo A (3)"), (19, "Demo A (19)"), (20, "")])
def test_a_test_part_of_few_pictures_is_said_below_the_table(count, said):
    records = []
    for spec in specs_of("main", "demo", "glia", ["demo_a", "demo_b"], splits=2):
        body = json.loads(json.dumps(body_of(spec)))
        if spec.train == "demo_a":
            body["data"]["tests"]["demo_a:test"]["n"] = count
        records.append(record_of(spec, data=body["data"]))
    notes = [note for note in tables_of("main", records)["main_demo"].notes if note.startswith("Few pictures")]
    assert notes == ([f"Few pictures in a test part: {said}. {notes[0].split('. ', 1)[1]}"] if said else [])


@pytest.fixture
def cache(home):
    """Pixels and inputs of two sets and of a smoke run, weights with their hash, and a made set."""
    entries = (
        "pixels/mine-0123456789abcdef0123", "pixels/mine-16-0123456789abcdef0123",
        *(f"frozen/mine-feature-{number:020}" for number in range(45)), "frozen/mine-two-feature-01234567890123456789",
        "weights/vit.safetensors", "weights/vit.safetensors.sha256", "demo/demo_a",
    )  # fmt: skip
    for entry in entries:
        path = home / "cache" / entry
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry.startswith("weights"):
            path.write_bytes(bytes(1000))
        else:
            path.mkdir()
            (path / "data").write_bytes(bytes(1000))
    return home / "cache"


def test_the_cache_is_summed_up_by_set_and_a_hash_is_no_entry_of_its_own(cache):
    lines = bench("cache", "ls").stdout.splitlines()
    assert len(lines) < 12
    (frozen,) = [line for line in lines if re.match(r"frozen +│ mine +│", line)]
    assert "45" in frozen
    assert "45.0 kB" in frozen
    assert not [line for line in lines if "sha256" in line]
    assert "│ 2.0 kB" in next(line for line in lines if line.startswith("weights"))
    assert len(bench("cache", "ls", "--all").stdout.splitlines()) > 50


def test_what_is_kept_of_one_set_goes_by_its_name(cache):
    assert bench("cache", "rm", "mine").stdout.startswith("47 entries deleted")
    assert [entry.name for entry in cache_entries(cache)] == [
        "demo_a", "mine-two-feature-01234567890123456789", "vit.safetensors",
    ]  # fmt: skip
    assert bench("cache", "rm", "weights").exit_code == 0
    assert not list((cache / "weights").iterdir())


def test_a_set_that_is_called_like_a_smoke_runs_part_keeps_its_cache(cache):
    toml = cache.parent / "bench.toml"
    before = toml.read_text() if toml.exists() else ""
    (cache / "pixels" / "mine-512-0123456789").mkdir(parents=True)
    toml.write_text(f'{before}\n[data.mine-512]\nloader = "folder"\npath = "{cache.parent}"\n')
    bench("cache", "rm", "mine")
    assert (cache / "pixels" / "mine-512-0123456789").exists()
    toml.write_text(before)
    bench("cache", "rm", "mine")
    assert not (cache / "pixels" / "mine-512-0123456789").exists()


def test_a_limit_that_is_not_reached_says_why(cache):
    said = bench("cache", "limit", "0").stdout
    assert "3.0 kB are left, more than asked for: demo and weights only by name (bench cache rm demo)." in said
    assert "are left" not in bench("cache", "limit", "1").stdout


@pytest.mark.parametrize("size", ["inf", "1e308"])
def test_a_limit_that_no_disk_could_reach_is_refused_in_a_line(home, size):
    refused = bench("cache", "limit", size)
    assert refused.exit_code == 2
    assert f"a number of gigabytes, such as 20, not {float(size):g}" in refused.stderr
    (home / "bench.toml").write_text("[run]\ncache_limit_gb = 1e308\n")
    refused = bench("run", "-m", "mean", "-d", "demo_a", "--dry-run")
    assert refused.exit_code == 2
    assert "a number of gigabytes" in refused.stderr


@pytest.fixture
def changed(home):
    """Records of two methods with one recipe of their own in common, in a folder of their own."""
    store = Store(home / "changed")
    for spec in specs_of("main,cross", "demo", "glia,adapter", ["demo_a", "demo_b"], splits=3):
        recipe = replace(spec.recipe, epochs=10, lr=1e-3, batch=8, weight_decay=0.02, test_views=3)
        spec = replace(spec, recipe=recipe, weights="random")
        store.write(body_of(spec), predictions(spec))
    return home


def test_what_both_sides_of_a_comparison_changed_is_said_once_and_in_no_name(changed):
    text = bench("compare", "glia", "adapter", "--results", "changed").stdout
    assert text.startswith("GLIA minus Adapter, SRCC, preset demo\n")
    assert text.count("epochs=10") == text.count("lr=0.001") == text.count("weights=random") == 1
    (both,) = [line for line in text.splitlines() if "epochs=10" in line]
    assert both.startswith("Both: ")
    assert max(map(len, text.splitlines())) <= 160


def test_a_side_of_a_comparison_is_named_with_what_only_it_changed(home):
    specs = specs_of("main", "demo", "glia", ["demo_a"], splits=3)
    for change in ({"epochs": 3, "lr": 1e-4}, {"epochs": 3, "lr": 1e-2}):
        for spec in specs:
            spec = replace(spec, recipe=replace(spec.recipe, **change))
            Store(home / "rates").write(body_of(spec), predictions(spec))
    text = bench("compare", "glia,lr=0.0001", "glia,lr=0.01", "--results", "rates").stdout
    assert text.startswith("GLIA, lr=0.0001 minus GLIA, lr=0.01, SRCC")
    assert "Both: epochs=3." in text
    assert "differ in more than the method: lr=0.0001 against lr=0.01." in text


def test_seeds_that_a_comparison_averages_over_are_in_no_name():
    specs = specs_of("main", "demo", "glia,lora", ["demo_a"], splits=3)
    several = [replace(s, recipe=replace(s.recipe, seed=seed, epochs=2)) for s in specs for seed in (1, 2)]
    (found,) = compare(Results([record_of(spec) for spec in several]), "glia", "lora")
    assert (found.seeds, found.a, found.b, found.shared) == ((2, 2), "GLIA", "LoRA", ("epochs=2",))


def test_records_of_a_plugin_are_verified_and_compared_with_it(home, monkeypatch):
    path = write_copy(home / "mine.py", "mine")
    monkeypatch.setattr(METHODS, "_targets", dict(METHODS._table()))  # forgotten after
    for word in ("verify", "compare"):
        assert "--plugin" in bench(word, "--help").output
    register(path)
    store = Store(home / "own")
    for spec in specs_of("main", "demo", "mine,lora", ["demo_a"], splits=3):
        store.write(body_of(spec), predictions(spec))
    edit(path, '    title = "mine"\n', '    title = "My own idea"\n\n    def other(self):\n        return 1\n')
    monkeypatch.setattr(METHODS, "_targets", {k: v for k, v in METHODS._table().items() if k != "mine"})
    method_title.cache_clear()
    without = bench("verify", "--results", "own")
    assert "mine.py" not in without.stderr
    known = bench("verify", "--results", "own", "--plugin", "mine.py")
    assert known.exit_code == 0, known.output
    assert "3 runs were made by an older mine.py" in known.stderr
    method_title.cache_clear()
    compared = bench("compare", "mine", "lora", "--results", "own", "--plugin", "mine.py")
    assert compared.stdout.startswith("My own idea minus LoRA")
    method_title.cache_clear()


def test_what_label_noise_allows_stands_below_the_table_where_opinions_are_published():
    records = []
    for spec in specs_of("main", "paper", "glia", ["livec", "spaq"], splits=2):
        body = json.loads(json.dumps(body_of(spec)))
        if spec.train == "livec":
            body["data"]["tests"]["livec:test"]["ceiling"] = {"srcc": 0.97 + 0.002 * spec.split, "plcc": 0.98}
        records.append(replace(record_of(spec), body=body))
    (said,) = [note for note in tables_of("main", records)["main"].notes if note.startswith("Label noise: ")]
    assert "no better than LIVEC SRCC 0.971, PLCC 0.980 (from" in said
