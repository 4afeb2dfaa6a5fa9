"""From a command line to runs: what is unknown is named, what is set reaches whom it concerns."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError, UsageError
from bench.planning import Ask, expand_methods, make_plan, parse_count, sort_settings


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
        ({"settings": ("lora.rank=3",)}, "lora"),
        ({"settings": ("fraction=1.5",)}, "fraction"),
        ({"weights": "/no/such/file.pth"}, "no such file"),
        ({"budget": "eight"}, "budget"),
    ],
)
def test_what_is_wrong_is_named(change, says):
    ask = {"methods": ("glia",), "protocols": ("main",), "preset": "demo"} | change
    with pytest.raises(UsageError, match=says):
        make_plan(Ask(**ask))


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
        "from bench.planning import Ask, make_plan; from bench.registry import PROTOCOLS;"
        "plan = make_plan(Ask(methods=('all',), protocols=PROTOCOLS.names(), preset='paper'));"
        "print(len(plan.specs), time.perf_counter() - t, 'torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert int(out[0]) > 1000
    assert float(out[1]) < 5  # 2 s alone on the machine; tests share it
    assert out[2] == "False"
