"""Every option can be looked up: what it is called, which values it takes, what it means, and what is in force."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.cli.commands.run import run
from bench.cli.config import SETTINGS, file_settings, read_config
from bench.cli.settings import (
    FILE_ONLY,
    of_a_run_in_force,
    page,
    recipe_in_force,
    run_options,
    settings_in_force,
)
from bench.core.errors import UsageError
from bench.core.registry import DATASETS, METHODS, PROTOCOLS
from bench.core.spec import RECIPE_BELOW, RECIPE_LEAST, Recipe, RunSpec, recipe_options
from bench.planning.plan import Ask, make_plan

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for variable in ("GLIA_BENCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def bench(*words, **environment):
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "160"} | environment)


def config_of(folder, text):
    (folder / "bench.toml").write_text(text)
    return read_config(folder, {})


def plan(config, methods=("glia",), **more):
    ask = {"protocols": ("main",), "preset": "demo", "splits": 1, "datasets": ("demo_a",)} | more
    return make_plan(Ask(methods=methods, file=file_settings(config), **ask)).specs


# --- what there is ---------------------------------------------------------------------------------------------


def test_the_page_is_what_the_source_says():
    assert (ROOT / "docs" / "configuration.md").read_text() == page(), (
        "make it anew: python -m bench.cli.settings > docs/configuration.md"
    )


def test_the_settings_that_have_no_flag_are_named():
    flags = {name.removesuffix("_steps") for name in inspect.signature(run).parameters}  # compile_steps is --compile
    assert set(SETTINGS) - flags == set(FILE_ONLY)


def test_the_page_can_be_written_without_torch():
    code = "import sys, bench.cli.settings as c; c.page(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("registry", [METHODS, PROTOCOLS], ids=["methods", "protocols"])
def test_every_built_in_option_says_what_it_means(registry):
    for name in registry.names():
        if registry.origin(name) == "built-in":
            for option in registry.card(name).options.values():
                assert len(option.meaning) > 10, f"{name}.{option.name} has no text below its field"


def test_every_setting_recipe_field_and_field_of_a_run_says_what_it_means():
    for option in (*SETTINGS.values(), *recipe_options().values(), *run_options()):
        assert option.meaning, option.name
    assert set(RECIPE_LEAST) | set(RECIPE_BELOW) <= set(recipe_options())


def test_every_setting_of_a_built_in_dataset_says_what_it_means():
    for name in DATASETS.names():
        for setting, meaning in (DATASETS.card(name).facts.get("settings") or {}).items():
            assert meaning, f"[data.{name}] {setting}"


def test_a_recipe_field_out_of_its_bounds_is_refused_as_the_page_has_them():
    for name, least in RECIPE_LEAST.items():
        with pytest.raises(UsageError, match=f"{name}=.* must be at least {least}"):
            recipe_options()[name].parse(str(least - 1))
        with pytest.raises(UsageError, match=f"{name}=.* must be at least {least}"):
            Recipe(**{name: type(getattr(Recipe(), name))(least - 1)})
    with pytest.raises(UsageError, match="dropout=1.0 must be less than 1"):
        Recipe(dropout=1.0)
    with pytest.raises(UsageError, match="lr=nan"):
        Recipe(lr=float("nan"))


def test_a_method_shows_its_paper_its_options_and_its_own_recipe(home):
    shown = bench("methods", "show", "glia").stdout
    assert shown.startswith("glia: GLIA\n")
    for part in ("the GLIA paper", "8,035,861", "at least 1", "between or before_each", "Fragments a side.", "grid=4"):
        assert part in shown
    assert "epochs=12, lr=0.01" in bench("methods", "show", "linear_probe").stdout
    assert "It has no options." in bench("methods", "show", "linear_probe").stdout


def test_a_protocol_shows_what_it_runs_its_tables_and_its_options(home):
    shown = bench("protocols", "show", "cross").stdout
    assert shown.startswith("cross: Across datasets\n")
    for part in ("One training per source and split", "One table a preset", "split or all", "bench run -p cross"):
        assert part in shown


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("methods", "glia"), "bench methods show glia"),
        (("methods", "glai"), "bench methods show glia"),
        (("protocols", "cross"), "bench protocols show cross"),
        (("protocols", "strategy"), "bench protocols show strategies"),
        (("methods", "sho"), "Did you mean 'show'"),
        (("methods", "xyzzy"), "See bench methods --help"),
        (("methods", "show", "glai"), "Did you mean glia"),
    ],
)
def test_a_wrong_word_behind_a_listing_suggests_what_was_meant(home, words, says):
    result = bench(*words)
    assert result.exit_code == 2
    assert says in result.output


def test_the_bare_listings_still_list(home):
    assert "8,035,861" in bench("methods").stdout
    assert "data_efficiency" in bench("protocols").stdout


# --- what is in force ------------------------------------------------------------------------------------------


def test_config_shows_what_will_be_used_and_where_it_came_from(home):
    shown = {name: rest for name, *rest in settings_in_force(read_config(home, {}))}
    assert shown["preset"] == ["demo", "built-in, for no [data] is configured"]
    assert shown["splits"] == ["3", "preset demo"]
    assert shown["backbone"] == ["vit_small_patch14_dinov2", "preset demo"]
    assert shown["threads"] == ["torch's choice", "built-in"]
    config = config_of(home, '[run]\nsplits = 3\n[data]\nroot = "/data"\n')
    shown = {name: rest for name, *rest in settings_in_force(config)}
    assert shown["preset"] == ["paper", "[data] in bench.toml"]
    assert shown["splits"] == ["3", "bench.toml"]


def test_the_data_section_is_shown_as_settings(home):
    (home / "bench.toml").write_text('[data.holiday]\nloader = "folder"\npath = "/data/holiday"\n')
    shown = bench("config").stdout
    assert "data.holiday.loader = folder\n" in shown
    assert "data.holiday.path = /data/holiday\n" in shown


def test_config_names_the_variable_that_the_cache_came_from(home, monkeypatch):
    monkeypatch.setenv("GLIA_BENCH_CACHE", "/somewhere")
    shown = {name: rest for name, *rest in settings_in_force(read_config(home, {}))}
    assert shown["cache"] == ["/somewhere", "GLIA_BENCH_CACHE"]


def test_a_tilde_in_the_variable_of_the_cache_is_the_home(home, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("GLIA_BENCH_CACHE", "~/x")
    assert str(read_config(home, {}).cache) == "/home/me/x"


def test_a_file_that_an_editor_marked_as_utf_8_is_read_like_any_other(home):
    (home / "bench.toml").write_text("[run]\nsplits = 3\n", encoding="utf-8-sig")
    assert read_config(home, {})["splits"] == 3


def test_the_recipe_in_force_is_the_built_in_one_then_the_presets_then_the_files(home):
    rows = {name: rest for name, *rest in recipe_in_force(config_of(home, "[recipe]\nlr = 5e-4\n"))}
    assert rows["lr"] == ["0.0005", "bench.toml"]
    assert rows["size"] == ["112", "preset demo"]
    assert rows["weight_decay"] == ["0.01", "built-in"]


def test_the_split_rule_in_force_is_that_of_the_presets_own_sets(home):
    for preset, rule in (("demo", "kfold:3"), ("study", "kfold:7")):
        shown = of_a_run_in_force(config_of(home, f'[run]\npreset = "{preset}"\n'))
        assert ("split_rule", rule, f"preset {preset} (its own sets; others random)") in shown
    paper = of_a_run_in_force(config_of(home, '[run]\npreset = "paper"\n'))
    assert paper == [(name, str(getattr(RunSpec, name)), "built-in") for name in ("fraction", "source", "split_rule")]


def test_config_all_lists_every_setting_and_recipe_field(home):
    config_of(home, "[recipe]\nepochs = 7\n[method.glia]\nrank = 32\n")
    shown = bench("config", "--all").stdout
    for name in (*SETTINGS, *recipe_options(), "fraction"):
        assert name in shown
    assert "Passes over the training part." in " ".join(shown.split())
    assert "method.glia.rank = 32" in shown
    assert str(home / "bench.toml") in shown


# --- bench.toml ------------------------------------------------------------------------------------------------


def test_a_recipe_in_the_file_holds_for_every_method_and_a_methods_section_for_it_alone(home):
    config = config_of(home, "[recipe]\nepochs = 7\n[method.glia]\nrank = 32\nlr = 1e-4\n")
    glia, lora = plan(config, ("glia", "lora"))
    assert (glia.recipe.epochs, glia.recipe.lr, glia.options["rank"]) == (7, 1e-4, 32)
    assert (lora.recipe.epochs, lora.recipe.lr, lora.options["rank"]) == (7, 2e-3, 8)


def test_a_methods_section_holds_where_the_protocol_chooses_the_methods(home):
    config = config_of(home, "[method.glia]\nrank = 32\nlr = 1e-4\n")
    (glia,) = (spec for spec in plan(config, ()) if spec.method == "glia")
    assert (glia.options["rank"], glia.recipe.lr) == (32, 1e-4)
    variants = make_plan(Ask((), ("components",), "demo", splits=1, file=file_settings(config))).specs
    assert {spec.options["rank"] for spec in variants} == {32}


def test_a_section_of_a_method_that_is_not_asked_for_does_nothing(home):
    assert plan(config_of(home, "[method.vpt]\nprompts = 5\n")) == plan(config_of(home, ""))


def test_flags_go_before_the_file_also_where_the_file_speaks_of_one_method(home):
    config = config_of(home, "[recipe]\nepochs = 7\n[method.glia]\nlr = 1e-4\nrank = 32\nselection = 'val'\n")
    (spec,) = plan(config, settings=("lr=5e-3", "epochs=3", "rank=16"), selection="last")
    assert (spec.recipe.lr, spec.recipe.epochs, spec.options["rank"]) == (5e-3, 3, 16)
    assert spec.recipe.selection == "last"
    (spec,) = plan(config, settings=("glia.lr=6e-3",))
    assert spec.recipe.lr == 6e-3


def test_the_recipes_dropout_is_not_a_methods(home):
    config = config_of(home, "[recipe]\ndropout = 0.2\n")
    (spec,) = plan(config, ("lora",))
    assert (spec.recipe.dropout, spec.options["dropout"]) == (0.2, 0.0)
    (spec,) = plan(config, ("lora",), settings=("recipe.dropout=0.3",))
    assert (spec.recipe.dropout, spec.options["dropout"]) == (0.3, 0.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[recipe]\nepoch = 3", r"bench.toml: \[recipe\] The recipe has no option 'epoch'. Did you mean epochs?"),
        ("[recipe]\nepochs = 0", r"\[recipe\] epochs=0 must be at least 1"),
        ("[recipe]\nloss = 'mes'", r"\[recipe\] loss='mes' is none of plcc"),
        ("[recipe]\nlr = 'fast'", r"\[recipe\] lr='fast' is not a number"),
        ("[recipe]\nrank = 3", r"\[recipe\] The recipe has no option 'rank'"),
        ("[method.glia]\nrnk = 3", r"\[method.glia\] glia has no option 'rnk'. Did you mean rank?"),
        ("[method.glia]\nrank = 0", r"\[method.glia\] rank=0 must be at least 1"),
        ("[method.gila]\nrank = 3", r"\[method.gila\] Unknown method 'gila'. Did you mean glia"),
        ("[method.peft]\nlr = 3", r'\[method.peft\] holds for no method: .* as in \[method."peft:NAME"\]'),
        ("[method]\nglia = 3", r"method.glia must be a section, written \[method.glia\]"),
        ("recipe = 3", r"recipe must be a section, written \[recipe\]"),
        ("[recip]\nlr = 3", "unknown section recip. Did you mean recipe?"),
        ("[run]\nspilts = 3", r"\[run\] has no setting 'spilts'. Did you mean splits?"),
        ("[data]\nrot = '/x'", r"\[data\] has no setting 'rot'. Did you mean root?"),
        ("[data.mine]\nloader = 'folder'\ngrup = 'x'", r"\[data.mine\] has no setting 'grup'. Did you mean group?"),
        ("[data.csiq]\ntitle = 'x'", r"\[data.csiq\] has no setting 'title'"),
    ],
)
@pytest.mark.parametrize("words", [("methods",), ("config",), ("splits", "demo_a")], ids=lambda words: words[0])
def test_what_the_file_says_and_nobody_knows_is_refused_by_every_command(home, text, says, words):
    (home / "bench.toml").write_text(text)
    result = bench(*words)
    assert result.exit_code == 2
    with pytest.raises(UsageError, match=says):
        raise UsageError(" ".join(result.output.split()))


def test_the_file_is_found_above_and_its_paths_are_its_own(home, monkeypatch):
    text = 'plugins = []\n[run]\ncache = "kept"\n[data]\nroot = "sets"\n[data.mine]\nloader = "folder"\npath = "pics"\n'
    (home / "bench.toml").write_text(text)
    below = home / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    config = read_config(Path.cwd(), {})
    assert config.path == home / "bench.toml"
    assert config.preset == "paper"
    assert config["results"] == str(home / "results")
    assert config["cache"] == str(home / "kept")
    assert config.data["root"] == str(home / "sets")
    assert config.data["mine"]["path"] == str(home / "pics")
    assert str(home / "bench.toml") in bench("config").stdout
    monkeypatch.chdir(home)
    assert read_config(Path.cwd(), {})["results"] == "results"


def test_a_tracker_and_the_files_of_methods_are_meant_from_the_files_own_folder_too(home, monkeypatch):
    text = '[run]\nlog = "tracker.py"\n[method.rali]\ncaptions = "texts.jsonl"\ntext_weights = "sha256:0123"\n'
    (home / "bench.toml").write_text(text)
    (home / "below").mkdir()
    monkeypatch.chdir(home / "below")
    config = read_config(Path.cwd(), {})
    assert config["log"] == str(home / "tracker.py")
    own = {"captions": str(home / "texts.jsonl"), "text_weights": "sha256:0123"}
    assert file_settings(config).methods == {"rali": own}
    (home / "bench.toml").write_text('[run]\nlog = "wandb"\n[method.rali]\ncaptions = "/elsewhere/texts.jsonl"')
    config = read_config(Path.cwd(), {})
    assert (config["log"], file_settings(config).methods["rali"]) == ("wandb", {"captions": "/elsewhere/texts.jsonl"})


def test_a_plugins_method_finds_its_files_from_a_folder_below(home, own_methods, monkeypatch):
    (home / "reader.py").write_text(
        'from bench.models.method import Method\nclass Reader(Method):\n    """Reads."""\n    name = "reader"\n'
        '    files = {"words": ""}\n    words: str = ""\n    """A list of words."""\n'
    )
    (home / "bench.toml").write_text('plugins = ["reader.py"]\n[method.reader]\nwords = "words.txt"\n')
    (home / "below").mkdir()
    monkeypatch.chdir(home / "below")
    assert f"method.reader.words = {home / 'words.txt'}" in bench("config", COLUMNS="300").stdout


def test_the_nearest_file_counts(home, monkeypatch):
    (home / "bench.toml").write_text("[run]\nsplits = 3")
    (home / "a").mkdir()
    (home / "a" / "bench.toml").write_text("[run]\nsplits = 4")
    monkeypatch.chdir(home / "a")
    assert read_config(Path.cwd(), {})["splits"] == 4


@pytest.mark.parametrize(
    "words",
    [("--config", "x/other.toml", "config"), ("config", "--config", "x/other.toml")],
    ids=["before the command", "behind it"],
)
def test_another_file_can_be_named(home, words):
    (home / "bench.toml").write_text("[run]\nsplits = 3")
    (home / "x").mkdir()
    (home / "x" / "other.toml").write_text('[run]\nsplits = 4\n[data.mine]\nloader = "folder"\npath = "pics"\n')
    shown = bench(*words).stdout
    assert "x/other.toml" in shown
    assert str(home / "x" / "pics") in shown
    assert "splits             │ 4" in shown
    assert "splits             │ 3" in bench("config").stdout, "a command without --config does not inherit it"


def test_every_command_that_reads_settings_takes_config(home):
    missing = bench("config", "--config", "nowhere.toml")
    assert missing.exit_code == 2
    assert "nowhere.toml: there is no such file" in missing.stderr
    for words in COMMANDS:
        assert ("--config" in bench(*words, "--help").stdout) is (words not in (("new",), ("data", "synthesize"))), (
            words
        )


def _commands(command, path=()):
    below = getattr(command, "commands", {})
    return [path] * bool(path) + [found for name in below for found in _commands(below[name], (*path, name))]


def _all_commands():
    from typer.main import get_command

    return [path for path in _commands(get_command(app)) if path not in (("data",), ("cache",))]


COMMANDS = _all_commands()
UNCONFIGURED = (("new",), ("data", "synthesize"))
