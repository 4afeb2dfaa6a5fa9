"""What would fail run by run is said before anything starts, once, and by --dry-run as by the run."""

import subprocess
import sys

import pytest

from bench.cli.preflight import check_models, look_ahead
from bench.core.errors import DataError, UsageError
from bench.core.runtime import Runtime
from bench.data.splits import count_of_parts
from bench.planning.plan import Ask, make_plan
from tests.world import RECIPE, TINY, make_set, make_world


def plan(data, *settings, methods=("linear_probe",), **more):
    sized = [f"{key}={value}" for key, value in RECIPE.items()]
    ask = {"protocols": ("main",), "preset": "demo", "weights": "random", "backbone": TINY, "datasets": ("near",)}
    return make_plan(Ask(methods=methods, settings=(*sized, *settings), data=data, **(ask | more)))


@pytest.fixture
def data(tmp_path):
    return make_world(tmp_path / "sets")


def ahead(tmp_path, data, made, told=None):
    runtime = Runtime(results=tmp_path / "results", cache=tmp_path / "cache", data=data)
    return look_ahead(made, runtime, (told if told is not None else []).append)


def test_more_splits_than_a_set_has_are_refused_where_they_were_asked_for(tmp_path, data):
    with pytest.raises(UsageError, match=r"near has 6 contents and so only 6 .* at most --splits 6"):
        ahead(tmp_path, data, plan(data, splits=7))
    assert len(ahead(tmp_path, data, plan(data, splits=6)).specs) == 6


def test_folds_that_a_set_cannot_have_are_a_wrong_command(tmp_path, data):
    with pytest.raises(UsageError, match="near has 6 contents, too few for kfold:9"):
        ahead(tmp_path, data, plan(data, "split_rule=kfold:9"))


def test_where_nobody_said_how_many_a_set_has_as_many_splits_as_there_are(tmp_path, data):
    told = []
    made = plan(data, preset="paper", datasets=("near",))
    assert len(made.specs) == 10
    assert sorted(spec.split for spec in ahead(tmp_path, data, made, told).specs) == list(range(6))
    assert told == ["near has 6 contents and so only 6 different test parts: so many splits of it are planned."]


def test_a_smoke_run_has_the_splits_of_the_contents_it_keeps(tmp_path, data):
    with pytest.raises(UsageError, match="near has 4 contents and so only 4 "):
        ahead(tmp_path, data, plan(data, limit=4, splits=5))


def test_a_training_that_ends_while_its_rate_still_warms_up_is_told_of(tmp_path, data):
    told = []
    ahead(tmp_path, data, plan(data, "warmup=6", methods=("linear_probe", "ridge")), told)
    assert told == [
        "6 steps of training on near, in all of which the rate warms up (warmup=6): --set epochs=… makes more of them."
    ]
    ahead(tmp_path, data, plan(data, "warmup=5"), told)
    ahead(tmp_path, data, plan(data, "warmup=6", methods=("ridge",)), told)
    assert len(told) == 1, "it is reached, or nothing descends"


def test_the_demo_sets_are_not_made_to_know_how_many_splits_they_have(tmp_path):
    with pytest.raises(UsageError, match="demo_wild has 5 contents and so only 5 "):
        ahead(tmp_path, {}, plan({}, "split_rule=random", datasets=("demo_wild",), splits=6))
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(("sets", "pictures"), [("near", 24), ("demo_wild", 200)])
def test_a_share_of_a_set_with_nothing_to_learn_from_is_refused(sets, pictures, tmp_path, data):
    least = 1.6 / pictures
    says = f"fraction={least / 2:g} of the {pictures} pictures of {sets} leaves 1 to learn from"
    with pytest.raises(UsageError, match=says):
        ahead(tmp_path, data, plan(data, f"fraction={least / 2}", datasets=(sets,)))
    assert ahead(tmp_path, data, plan(data, f"fraction={least}", datasets=(sets,))).specs


@pytest.mark.parametrize(("rule", "least"), [("random", 8), ("images", 8), ("images:5", 10)])
def test_a_set_of_which_one_picture_would_be_tested_is_refused(rule, least, tmp_path, data):
    made = plan(data, f"split_rule={rule}", limit=5, splits=1)
    with pytest.raises(UsageError, match=f"near has 5 pictures, and so one to test on, .* it takes {least}, or a file"):
        ahead(tmp_path, data, made)
    assert ahead(tmp_path, data, plan(data, f"split_rule={rule}", limit=least, splits=1)).specs


def test_a_content_of_several_pictures_may_be_tested_alone(tmp_path, data):
    few = make_set(tmp_path / "sets" / "few", 3, groups=3)
    data["few"] = {"loader": "folder", "path": str(few), "csv": "labels.csv", "group": "group"}
    assert ahead(tmp_path, data, plan(data, datasets=("few",), splits=1)).specs


@pytest.mark.parametrize(
    ("scene_of_one", "says"),
    [
        (False, "stars: split 0 tests 4 pictures that all have the score 4, which measures nothing: rate more"),
        (True, "stars: split 0 tests 1 picture, which measures nothing"),
    ],
)
def test_a_test_part_of_one_score_or_one_picture_of_a_scene_is_refused(scene_of_one, says, tmp_path, data):
    rows = [line.split(",") for line in (tmp_path / "sets" / "near" / "labels.csv").read_text().splitlines()]
    rows = [[name, "4" if group == "g3" else score, group] for name, score, group in rows]  # g3: the test of split 0
    rows = [row for row in rows if not (scene_of_one and row[2] == "g3" and row[0] != "g3_0.png")]
    (tmp_path / "sets" / "near" / "stars.csv").write_text("\n".join(map(",".join, rows)) + "\n")
    data["stars"] = data["near"] | {"csv": "stars.csv"}
    with pytest.raises(UsageError, match=says):
        ahead(tmp_path, data, plan(data, datasets=("stars",), splits=6))
    assert len(ahead(tmp_path, data, plan(data, datasets=("near",), splits=6)).specs) == 6


def test_what_is_wrong_with_several_sets_is_one_error(tmp_path, data):
    (tmp_path / "sets" / "near" / "labels.csv").write_text("image,score,group\ng0_0.png,bad,g0\n")
    (tmp_path / "sets" / "far" / "g0_0.png").unlink()
    data["two"] = {"loader": "folder", "path": str(make_set(tmp_path / "sets" / "two", 3, groups=2)), "group": "group"}
    with pytest.raises(DataError) as error:
        ahead(tmp_path, data, plan(data, datasets=("near", "far", "two")))
    lines = str(error.value).splitlines()
    assert [line.partition(" ")[0].rstrip(":") for line in lines] == ["far", "near", "two"]
    assert lines[2] == "two has 2 contents; a split needs at least 3."


def test_missing_sets_are_one_error(tmp_path):
    data = {name: {"path": str(tmp_path / name)} for name in ("csiq", "live")}
    with pytest.raises(UsageError, match=r"No folder for csiq, live\. Say in bench.toml where they lie"):
        ahead(tmp_path, data, plan(data, datasets=("csiq", "live")))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"backbone": "resnet18"}, r"^--backbone resnet18: ResNet is not a plain timm VisionTransformer"),
        ({"backbone": "vit_smal_patch16_224"}, "timm has no network 'vit_smal_patch16_224'. Did you mean vit_small"),
        (
            {"backbone": "vit_small_patch16_18x2_224"},
            "18x2_224: Its ParallelThingsBlock blocks are no attention and MLP",
        ),
        (
            {"backbone": "vit_pwee_patch16_reg1_gap_256", "methods": ("vpt", "lora")},
            "lora: peft.s LORA cannot be put into this ViT",
        ),
        ({"methods": ("peft",)}, "peft: Say which of peft's tuners as peft:NAME"),
        ({"methods": ("peft:nope",)}, "peft:nope: Say which of peft's tuners as peft:NAME; 'nope' is none"),
        ({"methods": ("peft:lora",), "settings": ("config=r=4,rnak=3",)}, "peft's LORA has no option 'rnak'"),
        ({"methods": ("loda",), "settings": ("cnn=resnet",)}, "loda: timm has no network 'resnet'"),
        ({"methods": ("deiqt",), "settings": ("heads=5",)}, "deiqt: A width of .* cannot be shared by 5 heads"),
    ],
)
def test_what_a_method_does_not_take_is_refused_before_any_run(asked, says):
    settings = asked.pop("settings", ())
    if asked.get("backbone", TINY) != TINY:
        settings = (*settings, f"size={asked['backbone'][-3:] if asked['backbone'][-3:].isdigit() else 224}")
    made = plan(None, *settings, splits=1, **asked)
    with pytest.raises(UsageError, match=says):
        check_models(made.specs)


@pytest.mark.parametrize("method", ["peft:dora", "peft:boft", "peft:ln_tuning", "loda", "vpt", "linear_probe"])
def test_what_can_be_built_is_let_through(method):
    check_models(plan(None, methods=(method,), splits=1).specs)


def test_a_size_that_a_backbone_cannot_cut_is_refused_for_every_method():
    for method in ("glia", "lora", "linear_probe", "loda"):
        with pytest.raises(UsageError, match="size=97: pictures of 97 pixels cannot be cut into the 14-pixel patches"):
            make_plan(Ask(methods=(method,), protocols=("main",), preset="demo", settings=("size=97",)))
    with pytest.raises(UsageError, match="97 pixels cannot be cut into 16-pixel patches"):
        check_models(plan(None, "size=97", splits=1).specs)


def test_a_usual_plan_is_looked_at_without_torch():
    code = (
        "import sys; from bench.planning.plan import Ask, make_plan; from bench.cli.preflight import check_models;"
        "check_models(make_plan(Ask(methods=('all',), protocols=('main', 'scale'), preset='paper')).specs);"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_parts_are_counted_as_splits_are_made():
    assert [count_of_parts(contents) for contents in (3, 5, 6, 10)] == [3, 5, 6, 45]
    assert count_of_parts(101) is None
