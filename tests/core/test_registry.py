"""The registry: instant listing, one owner a name, suggestions, plugins that break alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.core.errors import UsageError
from bench.core.registry import METHODS, Registry

PLUGIN = '''
"""A plugin."""
from bench.models.method import Method

class {cls}(Method):
    """Says hello."""
    strength: float = 0.5
'''


@pytest.fixture
def registry():
    return Registry("method", "methods", base="bench.models.method:Method")


def plugin(folder: Path, name: str, cls: str = "Mine") -> Path:
    path = folder / f"{name}.py"
    path.write_text(PLUGIN.format(cls=cls))
    return path


def test_every_built_in_method_is_found_by_its_file_name(registry):
    assert {"glia", "linear_probe", "full_finetune"} <= set(registry.names())
    assert registry.origin("glia") == "built-in"


def test_listing_imports_no_torch():
    code = (
        "import sys; from bench.core.registry import METHODS, PROTOCOLS, DATASETS, FIGURES;"
        "[registry.card(name) for registry in (METHODS, PROTOCOLS, DATASETS, FIGURES) for name in registry];"
        "assert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_typo_gets_a_suggestion(registry):
    with pytest.raises(UsageError, match="Did you mean .*glia"):
        registry.load("gila")


def test_a_name_without_likeness_lists_what_there_is(registry):
    with pytest.raises(UsageError, match="There are: .*linear_probe"):
        registry.target("zzz")


def test_a_plugin_file_is_registered_without_being_run(registry, tmp_path):
    path = plugin(tmp_path, "mine")
    path.write_text(path.read_text() + "\nraise RuntimeError('ran')\n")
    assert registry.add_plugin(path) == ["mine"]
    assert registry.card("mine").options["strength"].default == 0.5
    with pytest.raises(UsageError, match="'mine'.*ran"):
        registry.load("mine")


def test_a_name_taken_twice_is_an_error_that_names_both(registry, tmp_path):
    with pytest.raises(UsageError, match="glia.*twice.*built-in.*plugin"):
        registry.add_plugin(plugin(tmp_path, "glia"))


def test_the_same_plugin_named_twice_is_no_collision(registry, tmp_path):
    path = plugin(tmp_path, "mine")
    registry.add_plugin(path)
    assert registry.add_plugin(path) == ["mine"]


def test_a_plugin_that_is_not_python_is_refused_by_name(registry, tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("class (")
    with pytest.raises(UsageError, match=r"broken\.py"):
        registry.add_plugin(path)


def test_a_broken_entry_point_is_a_warning_that_names_it(monkeypatch):
    from importlib import metadata

    broken = metadata.EntryPoint("ghost", "no_such_module:Thing", "bench.methods")
    monkeypatch.setattr(metadata, "entry_points", lambda group: [broken] if group == "bench.methods" else [])
    registry = Registry("method", "methods", base="bench.models.method:Method")
    with pytest.warns(UserWarning, match="ghost"):
        names = registry.names()
    assert "ghost" not in names
    assert "glia" in names


def test_a_variant_behind_a_colon_belongs_to_its_family(registry, tmp_path):
    registry.add_plugin(plugin(tmp_path, "mine"))
    assert registry.target("mine:special") == registry.target("mine")
    assert "mine:special" in registry


def test_a_thing_is_made_with_its_options_and_the_variant_that_its_name_carries(registry):
    lora, dora = registry.make("lora", {"rank": 4}), registry.make("peft:dora")
    assert (lora.rank, lora.variant, dora.variant) == (4, "", "dora")
    assert registry.make("lora").rank == registry.card("lora").options["rank"].default


def test_a_fact_that_cannot_be_read_counts_as_not_said(registry, tmp_path):
    path = plugin(tmp_path, "mine")
    path.write_text(path.read_text() + "    vit_b = 3 * 256\n    packs = 2\n")
    registry.add_plugin(path)
    facts = registry.card("mine").facts
    assert (facts["vit_b"], facts["packs"], facts["family"]) == (None, 2, False)


EXTENSION = '''
"""A plugin."""
from {module} import {cls} as Base

class Wider(Base):
    """One option more than what it builds on."""
    bounds = {{"gain": {{"least": 0}}}}
    gain: float = 1.0
'''


def test_a_method_may_build_on_a_built_in_one_and_has_its_options(registry, tmp_path):
    path = tmp_path / "wider.py"
    path.write_text(EXTENSION.format(module="methods.lora", cls="Lora"))
    assert registry.add_plugin(path) == ["wider"]
    card = registry.card("wider")
    assert set(card.options) == {*registry.card("lora").options, "gain"}
    assert card.summary == "One option more than what it builds on."
    with pytest.raises(UsageError):
        card.check({"gain": -1.0})


def test_a_method_may_build_on_one_of_a_file_beside_its_own(registry, tmp_path):
    plugin(tmp_path, "mine")
    path = tmp_path / "wider.py"
    path.write_text(EXTENSION.format(module=".mine", cls="Mine"))
    assert registry.add_plugin(path) == ["wider"]
    assert set(registry.card("wider").options) == {"strength", "gain"}


def test_a_plugin_file_imports_what_lies_beside_it_and_never_another_plugins_of_the_same_name(registry, tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder / "parts").mkdir(parents=True)
        (tmp_path / folder / "bench_test_helper.py").write_text(f'WHERE = "{folder}"\n')
        (tmp_path / folder / "parts" / "__init__.py").write_text("")
        (tmp_path / folder / "parts" / "inner.py").write_text(f'PART = "{folder}"\n')
        path = plugin(tmp_path / folder, folder)
        path.write_text(
            "from bench_test_helper import WHERE\nfrom parts.inner import PART\n"
            + path.read_text().replace("    strength", "    where, part = WHERE, PART\n    strength")
        )
        registry.add_plugin(path)
    looked_in = list(sys.path)
    assert [(registry.load(name).where, registry.load(name).part) for name in ("one", "two")] == [
        ("one", "one"),
        ("two", "two"),
    ]
    assert sys.path == looked_in


@pytest.mark.parametrize("module", ["nowhere.at_all", "json", "methods.lora"])
def test_a_class_that_builds_on_something_else_is_no_method(registry, tmp_path, module):
    path = tmp_path / "wider.py"
    path.write_text(EXTENSION.format(module=module, cls="JSONDecoder"))
    assert registry.add_plugin(path) == []


def written(folder: Path, body: str, name: str = "mine") -> Path:
    """A plugin file with one method whose class says this."""
    head = "import typing\nimport typing as t\nfrom typing import ClassVar, Literal, Optional\n"
    path = folder / f"{name}.py"
    path.write_text(f"{head}from bench.models.method import Method\n\nclass Mine(Method):\n    {body}\n")
    return path


@pytest.mark.parametrize(
    "field",
    [
        "rank: Optional[int] = None",
        "alpha: int | None = None",
        "layers: list = [1, 2]",
        "width: int = 2 * 4",
        "rank: int = 'four'",
        "rank: int = True",
        "mode: Literal['a', 'b'] = 'c'",
        "mode: Literal[None, 'b'] = None",
    ],
)
def test_a_field_that_can_be_no_option_is_refused_by_name_and_said_what_options_may_be(registry, tmp_path, field):
    path = written(tmp_path, field)
    assert registry.add_plugin(path) == ["mine"]
    with pytest.raises(UsageError, match=r"'mine' \(plugin .*mine.py\): Mine has .*options are int, float") as refused:
        registry.card("mine")
    assert field in str(refused.value).replace("(2 * 4)", "2 * 4")


def test_a_whole_default_of_a_float_is_the_float_that_is_read_where_it_is_typed(registry, tmp_path):
    registry.add_plugin(written(tmp_path, "scale: float = 2"))
    option = registry.card("mine").options["scale"]
    assert (repr(option.default), repr(option.parse("2")), repr(option.parse("-0"))) == ("2.0", "2.0", "0.0")


@pytest.mark.parametrize("literal", ["typing.Literal", "t.Literal", "Literal"])
def test_a_literal_is_a_choice_however_it_was_imported(registry, tmp_path, literal):
    registry.add_plugin(written(tmp_path, f"mode: {literal}['a', 'b'] = 'a'"))
    option = registry.card("mine").options["mode"]
    assert option.choices == ("a", "b")
    with pytest.raises(UsageError, match="mode='c' is none of a, b"):
        option.parse("c")


@pytest.mark.parametrize("field", ["limits: typing.ClassVar[list] = [1]", "_kept: list = [1]", "depth: int"])
def test_class_variables_names_with_an_underscore_and_fields_without_a_value_are_no_options(registry, tmp_path, field):
    registry.add_plugin(written(tmp_path, field))
    assert registry.card("mine").options == {}


@pytest.mark.parametrize("name", ["norm-tuning", "norm tuning", "a.b", "a,b", ""])
def test_a_name_that_no_flag_could_name_is_refused_where_it_is_registered(registry, tmp_path, name):
    path = written(tmp_path, f"name = {name!r}") if name else written(tmp_path, "pass", "norm-tuning")
    with pytest.raises(UsageError, match=rf"plugin .*: '{name or 'norm-tuning'}' is no name for a method: use small"):
        registry.add_plugin(path)


@pytest.mark.parametrize(("name", "why"), [("all", "stands for every method"), ("recipe", "stands for the recipe in")])
def test_a_word_that_means_something_else_on_a_command_line_names_no_method(tmp_path, name, why):
    with pytest.raises(UsageError, match=f"'{name}' of plugin .*{why}.* Rename it"):
        METHODS.add_plugin(written(tmp_path, f"name = {name!r}"))


@pytest.mark.parametrize("name", ["PREFIX + 'x'", "f'mine'", "3"])
def test_a_name_that_is_not_written_out_is_refused_with_its_file(registry, tmp_path, name):
    with pytest.raises(
        UsageError, match=r"mine.py: the name of Mine is read .*write it out, as in name = .mine."
    ) as why:
        registry.add_plugin(written(tmp_path, f"name = {name}"))
    assert name in str(why.value)
