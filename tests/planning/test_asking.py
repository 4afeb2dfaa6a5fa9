"""A protocol of a plugin that does something wrong is named, with its file, before anything is run."""

import pytest

from bench.core.errors import UsageError
from bench.core.registry import PROTOCOLS
from bench.planning.plan import Ask, Settings, make_plan
from bench.planning.protocol import Request

PLUGIN = '''
from bench.planning.protocol import Protocol

class Hurried(Protocol):
    """What is learned in a hurry."""

    def plan(self, request):
        {plan}

    def says(self, request, specs):
        {says}
'''
SOUND = "return [request.spec(request.methods[0], 'demo_a', ['demo_a:test'], 0)]"


@pytest.fixture
def hurried(tmp_path, monkeypatch):
    """Make a plan of a protocol that is written so."""
    monkeypatch.setattr(PROTOCOLS, "_targets", dict(PROTOCOLS._table()))
    monkeypatch.setattr(PROTOCOLS, "_origin", dict(PROTOCOLS._origin))

    def planned(plan=SOUND, says="return []", **asked):
        path = tmp_path / "hurried.py"
        path.write_text(PLUGIN.format(plan=plan, says=says))
        PROTOCOLS.add_plugin(path)
        return make_plan(Ask(("ridge",), ("hurried",), "demo", **asked))

    return planned


def spec_with(method="request.methods[0]", tests="['demo_a:test']"):
    return f"return [request.spec({method}, 'demo_a', {tests}, 0)]"


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        ("[]", "TypeError: it must return a list of RunSpec, not None"),
        ("return ['ridge']", "TypeError: it must return a list of RunSpec, not .'ridge'."),
        (spec_with(method="'ridge'"), "the method is one of request.chosen.., or MethodChoice.'ridge'., not 'ridge'"),
        (spec_with(tests="['demo_a']"), "ValueError: The test target 'demo_a' is none of DATASET:test"),
        (spec_with(tests="['demo_a:tets']"), "ValueError: The test target 'demo_a:tets' is none of DATASET:test"),
        (spec_with(tests="'demo_a:test'"), r"tests are a list, as in \['demo_a:test'\]"),
        ("return nothing", "NameError: name 'nothing' is not defined"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_with_the_protocol_its_file_and_why(hurried, plan, why):
    with pytest.raises(
        UsageError, match=rf"The protocol 'hurried' \(.*hurried.py:Hurried\) fails in plan\(\)(, line \d+)?: .*{why}"
    ):
        hurried(plan)


def test_so_is_what_it_says_of_its_runs(hurried):
    with pytest.raises(UsageError, match=r"fails in says\(\): TypeError: it must return a list of str, not None"):
        hurried(says="pass")


def test_runs_may_be_given_one_by_one(hurried):
    assert len(hurried(SOUND.replace("return", "yield from")).specs) == 1


@pytest.mark.parametrize("typed", ["ridge.epochs=5", "recipe.epochs=5"])
def test_its_own_recipe_is_not_put_in_the_place_of_what_was_typed(hurried, typed):
    own = SOUND.replace(", 0)]", ", 0, recipe={'epochs': 1, 'seed': 3})]")
    with pytest.raises(UsageError, match=f"{typed} was asked for, and the protocol has its own: epochs=1. Leave one"):
        hurried(own, settings=(typed,))
    assert hurried(own, settings=("epochs=1",)).specs[0].recipe.epochs == 1
    standing = Settings(recipe={"epochs": 5}, recipes={"ridge": {"epochs": 7}})
    assert hurried(own, file=standing, seeds=2).specs[0].recipe.epochs == 1, "bench.toml is for whatever takes it"


def test_a_mistake_of_our_own_is_not_called_the_users(monkeypatch):
    def broken(self, request: Request):
        raise AttributeError("ours")

    monkeypatch.setattr(PROTOCOLS.load("main"), "plan", broken)
    with pytest.raises(AttributeError, match="ours"):
        make_plan(Ask(("ridge",), ("main",), "demo"))
