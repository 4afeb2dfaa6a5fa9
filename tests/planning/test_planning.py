"""From a command line to runs: what is unknown is named, what is set reaches whom it concerns."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import BenchError, UsageError
from bench.core.registry import METHODS
from bench.planning.budgets import parse_count
from bench.planning.choices import Choices, Trial
from bench.planning.plan import Ask, expand_methods, make_plan, sort_settings


def plan(*settings, methods=("glia",), protocols=("main",), preset="demo", **more):
    return make_plan(
        Ask(methods=methods, protocols=protocols, preset=preset, settings=settings, weights="random", **more)
    )


def test_the_paper_preset_is_lodas_protocol():
    specs = plan(preset="paper").specs
    assert {s.split for s in specs} == set(range(10))
    assert {s.train for s in specs} == {
        "live", "csiq", "tid2013", "kadid10k", "koniq10k", "livec", "spaq", "flive",
    }  # fmt: skip
    recipe = next(s.recipe for s in specs if s.train == "koniq10k")
    assert (recipe.epochs, recipe.batch, recipe.lr, recipe.weight_decay) == (10, 128, 3e-4, 1e-2)
    assert (recipe.train_views, recipe.test_views, recipe.short_side, recipe.size) == (3, 15, 384, 224)


def test_a_recipe_key_reaches_every_method_and_an_option_its_owner():
    specs = plan("lr=0.01", "glia.rank=16", methods=("glia", "linear_probe")).specs
    assert {s.recipe.lr for s in specs} == {0.01}
    assert {s.options.get("rank") for s in specs if s.method == "glia"} == {16}


def test_a_recipe_key_may_be_set_for_one_method_alone():
    specs = plan("lr=0.01", "linear_probe.lr=0.1", "glia.epochs=7", methods=("glia", "linear_probe")).specs
    found = {s.method: (s.recipe.lr, s.recipe.epochs) for s in specs}
    assert found == {"glia": (0.01, 7), "linear_probe": (0.1, 12)}
    assert all("lr" not in s.options for s in specs)
    one = plan("peft:dora.lr=0.5", methods=("peft:dora", "lora")).specs
    assert {s.method: s.recipe.lr for s in one} == {"peft:dora": 0.5, "lora": 2e-3}


def test_a_variant_may_be_called_by_any_name():
    for name in ("pyiqa:musiq-ava", "pyiqa:clipiqa+"):
        assert {spec.recipe.test_views for spec in plan(f"{name}.test_views=3", methods=(name, "mean")).specs} == {3, 4}


def test_what_is_set_of_runs_is_refused_where_it_would_reach_one_protocol_of_two():
    on_own = {"train_on": ("near",), "test_on": ("far",), "splits": 1}
    for name in ("cross", "gmad"):
        assert {spec.source for spec in plan("source=all", protocols=(name,), **on_own).specs} == {"all"}
    with pytest.raises(UsageError, match=r"be for cross alone: write --set cross\.source=all, or ask for gmad in a"):
        plan("source=all", protocols=("cross", "gmad"), **on_own)
    both = plan("cross.source=all", protocols=("cross", "gmad"), **on_own)
    assert {spec.source for spec in both.specs} == {"all", "split"}


@pytest.mark.parametrize("setting", ["warmup=100", "hyperiqa.warmup=100"])
def test_a_warmup_that_a_methods_own_schedule_does_not_read_is_said_to_do_nothing(setting):
    said = "warmup does nothing to hyperiqa: under schedule=own a method has its own start."
    both = {"methods": ("hyperiqa", "ridge_cnn"), "own_recipes": True}
    assert said in plan(setting, **both).said
    assert said not in plan(setting, **both | {"own_recipes": False}).said
    assert said not in plan(**both).said
    assert said not in plan(preset="study", **both).said


def test_an_option_of_the_methods_own_goes_before_the_recipes_of_the_same_name():
    (spec, *_) = plan("vpt.dropout=0.5", methods=("vpt",)).specs
    assert (spec.options["dropout"], spec.recipe.dropout) == (0.5, 0.1)


def test_every_option_of_a_method_stands_in_its_spec():
    spec = plan().specs[0]
    assert spec.options["rank"] == 64
    assert spec.options["fragment"] != 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"methods": ("gila",)}, "Did you mean .*glia"),
        ({"protocols": ("mian",)}, "Did you mean .*main"),
        ({"preset": "papier"}, "preset"),
        ({"settings": ("rnak=3",)}, "rank"),
        ({"settings": ("lr=fast",)}, "lr='fast'"),
        ({"settings": ("loss=plccc",)}, "plcc"),
        ({"settings": ("epochs=2.5",)}, "epochs"),
        ({"settings": ("flips=maybe",)}, "flips"),
        ({"settings": ("lr=nan",)}, "lr"),
        ({"settings": ("lr",)}, "key=value"),
        ({"settings": ("lora.rank=4",)}, r"^lora is not among the methods asked for \(glia\)\.$"),
        (
            {"methods": (), "settings": ("lora.rank=4",)},
            r"lora is not among the methods asked for: name it with --method",
        ),
        ({"settings": ("cross.source=all",)}, r"cross is not among the protocols asked for \(main\)"),
        ({"settings": ("loar.rank=4",)}, r"There is no method or protocol 'loar'. Did you mean lora"),
        ({"settings": ("glia.rnak=4",)}, "glia has no option 'rnak'. Did you mean rank"),
        ({"settings": ("glia.lr=fast",)}, "lr='fast' is not a number"),
        ({"settings": ("epochs=many",)}, "epochs='many' is not a whole number"),
        ({"settings": ("glia.fraction=0.2",)}, "glia has no option 'fraction'"),
        ({"settings": ("epochs = 1",)}, "Write it without spaces: --set epochs=1"),
        ({"settings": ("epochs=1,lr=.1",)}, "a --set of its own: --set epochs=1 --set lr=.1"),
        ({"settings": ("glia.rank=8, heads=2",)}, "a --set of its own: --set glia.rank=8 --set heads=2"),
        ({"settings": ("fraction=1.5",)}, "fraction"),
        ({"weights": "/no/such/file.pth"}, "no such file"),
        ({"budget": "eight"}, "budget"),
        ({"selection": "foo"}, "selection='foo' is none of last, val, oracle"),
        ({"limit": 2}, "--limit 2 leaves nothing"),
        ({"settings": ("glia.rank=0",)}, "rank=0 must be at least 1"),
        ({"settings": ("heads=0",)}, "heads=0 must be at least 1"),
        ({"settings": ("heads=-4",)}, "heads=-4 must be at least 1"),
        ({"settings": ("heads=5",)}, "glia: heads=5 does not divide rank=64"),
        ({"methods": ("loda",), "settings": ("latent=6",)}, "loda: heads=4 does not divide latent=6"),
        ({"methods": ("adapter",), "settings": ("bottleneck=0",)}, "bottleneck=0 must be at least 1"),
        ({"methods": ("vpt",), "settings": ("prompts=0",)}, "prompts=0 must be at least 1"),
        ({"methods": ("vpt",), "settings": ("vpt.dropout=1",)}, "dropout=1.0 must be less than 1"),
        ({"methods": ("lora",), "settings": ("alpha=-1",)}, "alpha=-1.0 must be at least"),
        ({"settings": ("batch=1",)}, "batch=1 is too small for loss=plcc"),
        ({"settings": ("batch=1", "loss=plcc_squared")}, "batch=1 is too small for loss=plcc_squared"),
        ({"protocols": ("strategies_matched",), "settings": ("budget=-3",)}, "budget=-3 must be at least 0"),
    ],
)
def test_what_is_wrong_is_named(change, says):
    ask = {"methods": ("glia",), "protocols": ("main",), "preset": "demo"} | change
    with pytest.raises(UsageError, match=says):
        make_plan(Ask(**ask))


def test_a_batch_of_one_will_do_where_the_loss_looks_at_single_images():
    assert {s.recipe.batch for s in plan("batch=1", "loss=mse").specs} == {1}


def test_tuned_sizes_are_checked_too():
    with pytest.raises(UsageError, match="lora: rank=0 must be at least 1"):
        plan(methods=("lora",), tuned=Choices({"lora": {"elsewhere": {0: [Trial({"rank": 0}, 0.5)]}}}))


@pytest.mark.parametrize(("text", "count"), [("4.1M", 4_100_000), ("8.2m", 8_200_000), ("2.01M", 2_010_000)])
def test_a_budget_is_the_very_number_that_is_written(text, count):
    assert parse_count(text) == count


def test_a_number_of_splits_that_stands_in_bench_toml_holds_as_far_as_the_rule_has_splits():
    standing = {"splits": 5, "standing": frozenset({"splits"}), "datasets": ("demo_a",), "methods": ("mean",)}
    made = plan(**standing)
    assert {spec.split for spec in made.specs} == {0, 1, 2}
    assert "bench.toml asks for 5 splits, and there are 3 by the sets' split_rule." in made.said
    fewer = plan(**standing | {"splits": 2})
    assert ({spec.split for spec in fewer.specs}, fewer.said) == ({0, 1}, ())
    assert len(plan(**standing, preset="paper").specs) == 5, "random splits are as many as are wanted"
    own = standing | {"protocols": ("cross",), "datasets": (), "test_on": ("far",)}
    made = plan(**own, train_on=("near",))
    assert (len(made.specs), made.said) == (5, ()), "sets that are trained on count, not those of the preset"
    assert len(plan(**own, train_on=("demo_a",)).specs) == 3
    with pytest.raises(UsageError, match="has the splits 0 to 2, not 3"):
        plan(**standing | {"standing": frozenset()})


def test_heads_may_be_any_that_divide_the_size_a_budget_gives():
    specs = plan("glia.heads=3", "budget=2000000", protocols=("strategies_matched",), splits=1).specs
    assert specs
    assert {s.options["rank"] % 3 for s in specs} == {0}


@pytest.mark.parametrize("method", [name for name in METHODS.names() if METHODS.origin(name) == "built-in"])
def test_every_number_of_a_built_in_method_says_where_it_stops_making_sense(method):
    free = {"lambda_init"}  # a learned weight may start anywhere
    options = METHODS.card(method).options.values()
    numbers = {option.name for option in options if option.type in ("int", "float")}
    assert {option.name for option in options if option.least is not None} == numbers - free


PLUGIN = '''
from typing import ClassVar
from bench.models.method import Method

class Turned(Method):
    """Options that may be zero or less, beside a size that may not."""
    bounds: ClassVar[dict] = {"width": {"least": 2}}
    shift: int = -3
    width: int = 8
'''


def test_a_plugins_options_have_the_ends_it_says_and_no_others(tmp_path, monkeypatch):
    monkeypatch.setattr(METHODS, "_targets", dict(METHODS._table()))
    monkeypatch.setattr(METHODS, "_origin", dict(METHODS._origin))
    (tmp_path / "turned.py").write_text(PLUGIN)
    METHODS.add_plugin(tmp_path / "turned.py")
    assert plan("shift=-7", methods=("turned",)).specs[0].options == {"shift": -7, "width": 8}
    with pytest.raises(UsageError, match="width=1 must be at least 2"):
        plan("width=1", methods=("turned",))


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        ({"protocols": ("cross",), "datasets": ("mine",)}, "cross has no run with --dataset mine; without it there"),
        ({"protocols": ("components",), "methods": ("lora",)}, "components has no run with --method lora; without it"),
        (
            {"protocols": ("strategies_matched",), "methods": (), "settings": ("budget=3",)},
            "strategies_matched has no run with --set budget=3; without it there are",
        ),
        (
            {"protocols": ("cross", "components"), "datasets": ("mine",), "methods": ("lora",)},
            "cross has no run with --dataset mine.*components has no run with --method lora",
        ),
    ],
)
def test_a_plan_without_any_run_says_what_left_it_empty(ask, says):
    with pytest.raises(UsageError, match=says):
        make_plan(Ask(**({"methods": ("glia",), "preset": "demo"} | ask)))


def test_all_methods_are_the_registered_ones_without_families():
    names = expand_methods(["all"])
    assert {"glia", "linear_probe", "full_finetune", "adapter", "lora", "vpt", "loda"} <= set(names)
    assert "peft" not in names
    assert expand_methods(["glia", "glia"]) == ["glia"]


def test_runs_that_two_protocols_share_are_made_once():
    both = plan(protocols=("main", "cross")).specs
    assert len({s.training_key for s in both}) == len(both)
    assert len(both) < len(plan(protocols=("main",)).specs) + len(plan(protocols=("cross",)).specs)


@pytest.mark.parametrize(
    ("text", "count"), [("8M", 8_000_000), ("300k", 300_000), ("2379264", 2379264), ("1.5m", 1_500_000)]
)
def test_counts_are_read_as_people_write_them(text, count):
    assert parse_count(text) == count


@given(st.lists(st.text(max_size=20), max_size=3))
def test_any_set_text_is_either_understood_or_a_clear_error(texts):
    try:
        sort_settings(texts, ["glia"], ["main"])
    except BenchError as error:
        assert str(error)


def test_planning_everything_imports_no_torch_and_is_quick():
    code = (
        "import sys, time; t = time.perf_counter();"
        "from bench.planning.plan import Ask, make_plan; from bench.core.registry import PROTOCOLS;"
        "plan = make_plan(Ask(methods=('all',), protocols=PROTOCOLS.names(), preset='paper'));"
        "print(len(plan.specs), time.perf_counter() - t, 'torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert int(out[0]) > 1000
    assert float(out[1]) < 5  # 2 s alone on the machine; tests share it
    assert out[2] == "False"
