"""The identity of a method's code: what counts, what does not, and whose records fit it."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.core.code import (
    NUMERICS,
    code_files,
    code_hash,
    code_of,
    load_method,
    made_by_other_code,
    same_code,
    told_apart,
)
from bench.core.errors import UsageError
from bench.core.registry import METHODS
from bench.core.source import Source
from bench.models.budget import size_to_budget
from tests.core.plugins import edit, forget, register, write_copy

pytestmark = pytest.mark.usefixtures("own_methods")


@pytest.fixture
def mine(tmp_path):
    """A copy of GLIA in a folder of its own, registered as `mine`."""
    return register(write_copy(tmp_path / "plugins" / "mine.py", "mine"))


def after(path, old, new, method="mine"):
    """Hashes before and after an edit."""
    before = code_hash(method)
    edit(path, old, new)
    return before, code_hash(method)


NOTHING = {
    "a comment": ("        low = self.down(tokens)\n", "        low = self.down(tokens)  # low rank\n\n\n"),
    "layout": ("{self.main, self.guidance}", "{self.main,\n  self.guidance}"),
    "a docstring": ('"""The sum of `breakdown`."""', '"""All of it.\n\n        And more.\n        """'),
    "an option's docstring": ("    lgf: bool = True\n", '    lgf: bool = True\n    """Whether there is LGF."""\n'),
    "the title": ('    title = "mine"', '    title = "Mine, revised"'),
    "the origin": ("no public code", "no code at all"),
    "a bound": ('"rank": {"least": 1}', '"rank": {"least": 2}'),
    "what must divide what": ('"least": 1, "divides": "rank"', '"least": 1'),
    "what tiles what": (', "tiles": "fragment"', ""),
    "a documented size": ("8_035_861", "8_035_862"),
    "an import": ("import torch\n", "import math\nimport torch\n"),
    "an import for type checkers": ("import torch\n", "import torch\nif TYPE_CHECKING:\n    from os import PathLike\n"),
    "a way of importing": ("from torch import Tensor, nn\n", "from torch import Tensor\nimport torch.nn as nn\n"),
    "a module of the harness that moved": ("from bench.models.layers import", "from bench.models.layers import"),
    "an order of imports": (
        "import torch\nfrom torch import Tensor, nn\n",
        "from torch import nn, Tensor\nimport torch\n",
    ),
}
SOMETHING = {
    "a default": ("lambda_init: float = 0.02", "lambda_init: float = 0.03"),
    "an option's type": ("rank: int = 64", "rank: float = 64"),
    "a line": ("raised = tokens + self.scale * raised", "raised = tokens - self.scale * raised"),
    "an order": ("self.down = mlp(width, rank, rank)\n        self.up = mlp(rank, width, width)\n",
                 "self.up = mlp(rank, width, width)\n        self.down = mlp(width, rank, rank)\n"),
    "what a name stands for": ("from torch import Tensor, nn\n", "from torch import Tensor\nfrom torch.ao import nn\n"),
    "which harness function is called": ("import CrossAttention, cross_attention_size, mlp,",
                                         "import CrossAttention, cross_attention_size, mlp_size as mlp,"),
    "how it trains": ("    rank: int = 64", "    trains_backbone: ClassVar[bool] = True\n\n    rank: int = 64"),
    "a statement": ("rank = options.rank\n", 'rank = options.rank\n        bounds = options.bounds["rank"]\n'),
}  # fmt: skip


@pytest.mark.parametrize("what", NOTHING)
def test_what_is_only_written_down_otherwise_does_not_count(what, mine):
    before, now = after(mine, *NOTHING[what])
    assert now == before


@pytest.mark.parametrize("what", SOMETHING)
def test_whatever_may_change_a_number_counts(what, mine):
    before, now = after(mine, *SOMETHING[what])
    assert now != before


def test_a_declared_fact_counts_where_the_code_reads_it(mine):
    edit(mine, "rank = options.rank\n", 'rank = options.rank\n        bounds = options.bounds["rank"]\n')
    before, now = after(mine, '"rank": {"least": 1}', '"rank": {"least": 2}')
    assert now != before


def test_moving_and_renaming_a_file_changes_nothing(mine, tmp_path):
    before = code_hash("mine")
    moved = tmp_path / "elsewhere" / "deep" / "another.py"
    moved.parent.mkdir(parents=True)
    shutil.move(mine, moved)
    METHODS._table().pop("mine")
    register(moved)
    assert code_hash("mine") == before


PAIR = "class A(Method):\n    name = 'a'\n    x: int = 1\n\nclass B(Method):\n    name = 'b'\n    x: int = 2\n"


def test_two_classes_of_a_file_that_swap_their_names_swap_what_they_are(tmp_path):
    text = PAIR
    path = tmp_path / "pair.py"
    path.write_text(text)
    register(path)
    before = {code_hash("a"), code_hash("b")}
    assert len(before) == 2
    path.write_text(text.replace("'a'", "'c'").replace("'b'", "'a'").replace("'c'", "'b'"))
    METHODS._table().pop("a")
    METHODS._table().pop("b")
    register(path)
    assert {code_hash("a"), code_hash("b")} == before
    assert METHODS.target("a").endswith(":B")


HELPED = "from helper import factor\n"


def test_what_a_method_imports_from_beside_it_counts_and_its_name_does_not(mine):
    helper = mine.with_name("helper.py")
    helper.write_text("def factor():\n    return 1.0\n")
    edit(mine, "low = self.down(tokens)", "low = factor() * self.down(tokens)")
    alone = code_hash("mine")
    edit(mine, "import torch\n", f"import torch\n{HELPED}")
    helped = code_hash("mine")
    assert helped != alone
    assert [path.name for path in code_files("mine")] == ["mine.py", "helper.py"]
    helper.write_text('"""Helps."""\n\n\ndef factor():\n    return 1.0  # at first\n')
    assert code_hash("mine") == helped
    helper.rename(mine.with_name("tools.py"))
    edit(mine, HELPED, "from tools import factor\n")
    assert code_hash("mine") == helped
    mine.with_name("tools.py").write_text("def factor():\n    return 2.0\n")
    assert code_hash("mine") != helped


def test_it_matters_from_which_of_two_files_a_function_comes(mine):
    for name, value in (("one", 1.0), ("two", 2.0)):
        mine.with_name(f"{name}.py").write_text(f"def factor():\n    return {value}\n")
    edit(mine, "low = self.down(tokens)", "low = factor() * self.down(tokens)")
    edit(mine, "import torch\n", "import torch\nimport two\nfrom one import factor\n")
    before, now = after(mine, "import two\nfrom one import factor\n", "import one\nfrom two import factor\n")
    assert now != before


def test_files_that_import_one_another_are_read_once(mine):
    mine.with_name("helper.py").write_text("from mine import Glia\nfrom helper import factor\nfactor = 1.0\n")
    edit(mine, "import torch\n", f"import torch\n{HELPED}")
    assert [path.name for path in code_files("mine")] == ["mine.py", "helper.py"]
    assert len(code_hash("mine")) == 20


def test_a_plugin_that_builds_on_a_method_of_ours_goes_by_its_code_too(tmp_path):
    path = tmp_path / "built.py"
    path.write_text(
        "from bench.models.method import Method\nfrom methods.glia import Glia\n\n"
        "class Built(Method, Glia):\n    pass\n"
    )
    register(path)
    assert {"built.py", "glia.py"} <= {found.name for found in code_files("built")}
    assert all(found.name != "method.py" for found in code_files("built"))  # the harness goes by NUMERICS


def test_a_packages_modules_count_wherever_they_are_imported(tmp_path, monkeypatch):
    package = tmp_path / "my_package"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("SCALE = 1\n")
    (package / "inner" / "__init__.py").write_text('"""Nothing."""\n')
    (package / "inner" / "parts.py").write_text("from .. import SCALE\nWIDTH = 3\n")
    (package / "unused.py").write_text("WIDTH = 4\n")
    write_copy(package / "inner" / "method.py", "packed_glia")
    edit(package / "inner" / "method.py", "import torch\n", "import torch\nfrom .parts import WIDTH\n")
    monkeypatch.syspath_prepend(tmp_path)
    METHODS.register("packed_glia", "my_package.inner.method:Glia", "my-distribution")
    known = [str(path.relative_to(package)) for path in code_files("packed_glia")]
    assert sorted(known) == ["__init__.py", "inner/__init__.py", "inner/method.py", "inner/parts.py"]
    before = code_hash("packed_glia")
    (package / "unused.py").write_text("WIDTH = 5\n")
    assert code_hash("packed_glia") == before
    (package / "__init__.py").write_text("SCALE = 2\n")
    assert code_hash("packed_glia") != before


def test_a_lone_module_of_an_installed_package_does_not_take_in_all_others(tmp_path, monkeypatch):
    write_copy(tmp_path / "lone_glia.py", "lone")
    edit(tmp_path / "lone_glia.py", "import torch\n", "import torch\nimport neighbour\nimport friend\n")
    (tmp_path / "neighbour.py").write_text("X = 1\n")
    (tmp_path / "friend.py").write_text("X = 1\n")
    about = tmp_path / "lone-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lone\nVersion: 1.0\n")
    (about / "top_level.txt").write_text("lone_glia\nfriend\n")
    monkeypatch.syspath_prepend(tmp_path)
    METHODS.register("lone", "lone_glia:Glia", "lone")
    assert [path.name for path in code_files("lone")] == ["lone_glia.py", "friend.py"]


def test_every_method_here_has_a_hash_of_its_own_and_none_needs_torch():
    code = (
        "import sys; from bench.core.code import code_hash; from bench.core.registry import METHODS\n"
        "print(len({code_hash(m) for m in METHODS.names()}), len(METHODS.names()), 'torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert said == [said[0], said[0], "False"]


def test_variants_of_a_method_share_its_code():
    assert code_hash("peft:dora") == code_hash("peft:vera") != ""


SAMPLE = '''
"""Every kind of statement that a source may hold."""
from __future__ import annotations
import os.path, sys as system
from typing import *
from torch.nn import functional as F
@decorated(1, *a, **k)
class C(Base, metaclass=M):
    """Doc."""
    title: ClassVar[str] = "x"
    x: int = 1; y = 2.5e-3; z: "str"
    def f(self, a, /, b=1, *args, c, d=None, **more) -> F.T: return f"{a!r:>{b}} and {c=:}" u"t" f"{d}""é\\n\\U0001fae8"
    async def g(self):
        async with a as b, c: yield await d
        async for x in y: pass
        else: return
def h(x):
    global G; nonlocal_free = lambda *a: (yield)
    if (n := len(x)) > -1 and not n: raise E from None
    elif n: assert n, "why"
    while True: break
    else: ...
    try: import numpy; ok = True
    except (A, B) as e: del e[1:2, ::3], e.x
    except C: continue_ = 1j
    else: pass
    finally: x @= 2; x //= 3
    try: pass
    except* G: x = [*a, {**b, 1: 2}, {1, 2}, (), b"b", ..., 1_000, 0x1F, 1e400]
    match x:
        case [1, *rest] | {"k": v, **rest}: pass
        case P(a=1) as q if q: pass
        case None | -1 | _: pass
    return [i async for i in x if i for j in i], {i: j for i in x}, (i for i in x), a if b else c, a < b <= c is not d
'''


def test_the_text_of_a_source_is_the_same_under_every_version_of_python():
    """Written under 3.11; 4,269 files of Python, torch, timm and this project were alike under 3.11, 3.12 and 3.13."""
    text = Source.of(SAMPLE.encode()).text(lambda found: found.level > 0)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "6fa032340efdb0b2"
    assert Source.of(SAMPLE.replace("\n", "\r\n").encode()).text(lambda found: found.level > 0) == text


def test_nothing_is_known_of_a_method_that_is_not_registered():
    assert code_hash("colleagues_own") == ""
    assert code_files("colleagues_own") == ()
    assert code_of("colleagues_own") == {"method": "", "numerics": NUMERICS}


def test_a_source_that_is_no_python_is_named(mine):
    mine.write_text("class Mine(Method:\n")
    with pytest.raises(UsageError, match="source of the method 'mine' cannot be read"):
        code_hash("mine")
    assert made_by_other_code(record("mine", "anything")) == ""


def test_a_process_goes_by_the_code_that_it_has_loaded(mine):
    before = code_hash("mine")
    load_method("mine")
    text = mine.read_text()
    mine.write_text(text.replace("0.02", "0.03"))
    assert code_hash("mine") != before
    assert code_of("mine")["method"] == before
    load_method("mine")
    assert code_of("mine")["method"] == before
    forget(mine)
    load_method("mine")
    assert code_of("mine")["method"] == code_hash("mine") != before


def test_sizing_a_method_loads_it_so_its_code_is_known_from_then_on(mine):
    before = code_hash("mine")
    size_to_budget("mine", METHODS.card("mine").defaults(), "vit_base_patch16_224", 10_000_000)
    text = mine.read_text()
    mine.write_text(text.replace("0.02", "0.03"))
    assert code_of("mine")["method"] == before


def test_a_file_that_was_edited_between_two_methods_that_share_it_is_refused(tmp_path):
    """The second would be made by the old text, which is in the process, under the hash of the new one."""
    shared, folder = "import common_factor\nFACTOR = common_factor.FACTOR\n", tmp_path / "pair"
    for name in ("first", "second"):
        path = write_copy(folder / f"{name}.py", name)
        edit(path, "import torch\n", f"import torch\n{shared}")
        register(path)
    (folder / "common_factor.py").write_text("FACTOR = 1\n")
    sys.modules["common_factor"] = type(sys)("common_factor")
    sys.modules["common_factor"].FACTOR = 1
    try:
        load_method("first")
        (folder / "common_factor.py").write_text("FACTOR = 22\n")
        with pytest.raises(UsageError, match=r"common_factor\.py was edited after this process had loaded it"):
            load_method("second")
    finally:
        del sys.modules["common_factor"]


def test_two_methods_of_one_file_that_was_edited_between_them_are_told_apart(tmp_path):
    path = tmp_path / "pair.py"
    path.write_text("from bench.models.method import Method\n" + PAIR)
    register(path)
    load_method("a")
    path.write_text(path.read_text().replace("x: int = 2", "x: int = 30"))
    with pytest.raises(UsageError, match=r"pair\.py was edited"):
        load_method("b")
    forget(path)
    load_method("b")


def record(method, code=None, numerics=NUMERICS):
    return {"spec": {"method": method}} | ({} if code is None else {"code": {"method": code, "numerics": numerics}})


def test_a_record_says_whose_code_made_it(mine):
    assert made_by_other_code(record("mine", code_hash("mine"))) == ""
    assert made_by_other_code(record("mine", "another")) == "an older mine.py"
    assert made_by_other_code(record("glia", "another")) == "an older glia.py"
    assert made_by_other_code(record("glia", code_hash("glia"), NUMERICS + 1)) == (
        f"another version of the harness (numerics {NUMERICS + 1}, here {NUMERICS})"
    )
    assert made_by_other_code(record("glia")) == "a version that did not record its code"


def test_a_record_of_a_method_that_is_not_registered_cannot_be_compared_and_is_not_changed():
    assert made_by_other_code(record("colleagues_own", "theirs")) == ""
    assert made_by_other_code(record("colleagues_own", "theirs", NUMERICS + 1)) == ""
    assert made_by_other_code(record("colleagues_own")) == ""


def test_makers_are_counted_in_one_sentence():
    assert told_apart([]) == ""
    assert told_apart(["an older glia.py"]) == "1 run was made by an older glia.py"
    assert told_apart(["an older lora.py", "an older glia.py", "an older glia.py"]) == (
        "2 runs were made by an older glia.py, 1 by an older lora.py"
    )


def declare(path, **pairs):
    path.with_name("refactorings.json").write_text(json.dumps({"mine": pairs}))


def test_a_refactoring_that_is_declared_leaves_records_as_they_are(mine):
    steps = [code_hash("mine")]
    for old, new in (("low = self.down(tokens)", "low = (self.down)(tokens)[:]"), ("(tokens)[:]", "(tokens)[:][:]")):
        steps.append(after(mine, old, new)[1])
    assert made_by_other_code(record("mine", steps[0])) == "an older mine.py"
    declare(mine, **{steps[0]: steps[1]})
    assert made_by_other_code(record("mine", steps[0])) == "an older mine.py"
    declare(mine, **{steps[0]: steps[1], steps[1]: steps[2]})
    assert made_by_other_code(record("mine", steps[0])) == ""
    assert same_code("mine", steps[2], steps[0])
    assert not same_code("mine", steps[0], "another")
    assert not same_code("mine", "", steps[0])
    assert not same_code("glia", steps[0], steps[1])


@pytest.mark.parametrize("text", ["{", "[]", '{"mine": ["a"]}', '{"mine": {"a": 1}}'])
def test_a_file_of_refactorings_that_cannot_be_read_is_named(mine, text):
    mine.with_name("refactorings.json").write_text(text)
    with pytest.raises(UsageError, match=r"refactorings\.json"):
        same_code("mine", "one", "other")


def test_our_own_refactorings_come_with_the_methods():
    path = Path(METHODS.package) / "refactorings.json"
    assert isinstance(json.loads((Path(__file__).parent.parent.parent / path).read_text()), dict)
