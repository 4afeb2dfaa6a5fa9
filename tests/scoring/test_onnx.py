"""A model as ONNX gives what it gives in Python: to 1e-4 on twenty odd pictures, run by onnxruntime."""

import json
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from bench.cli import app
from bench.core.errors import UsageError
from bench.scoring.load import load_scorer
from bench.scoring.model_file import KIND
from tests.scoring.worlds import METHODS, make_runs


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_runs(tmp_path_factory.mktemp("onnx"))


def odd_pictures():
    """Twenty pictures of unlike sizes, shapes and contents."""
    random = np.random.RandomState(0)
    sizes = [(1, 1), (1, 60), (70, 2), (33, 31), (500, 40), (64, 64), (200, 300), (32, 32), (47, 90), (15, 15)]
    for height, width in sizes:
        yield Image.fromarray(random.randint(0, 255, (height, width, 3), dtype=np.uint8))
        yield Image.new("RGB", (width, height), tuple(random.randint(0, 255, 3).tolist()))


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_onnx_gives_the_same_numbers(made, method, tmp_path, monkeypatch):
    runtimes = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    onnx = pytest.importorskip("onnx")
    from bench.scoring.onnx_file import write_onnx

    runtime, keys = made
    scorer = load_scorer(keys[method, 0], runtime)
    write_onnx(scorer, tmp_path / "it.onnx")
    session = runtimes.InferenceSession(tmp_path / "it.onnx")
    assert {one.name for one in session.get_inputs()} == set(scorer.views)
    for picture in odd_pictures():
        cut = scorer.cut(picture)
        raw, score = (float(value) for value in session.run(["raw", "score"], dict(cut)))
        assert raw == pytest.approx(float(scorer.raw(picture)[0]), abs=1e-4)
        assert score == pytest.approx(float(scorer.on_scale(np.array([raw]))[0]), rel=1e-4)
    about = {entry.key: entry.value for entry in onnx.load(str(tmp_path / "it.onnx")).metadata_props}
    assert json.loads(about[KIND])["spec"]["method"] == method


def test_what_torch_cannot_write_is_said_in_a_sentence(made, tmp_path, monkeypatch):
    pytest.importorskip("onnxscript")
    from bench.scoring import onnx_file

    def fails(module):
        raise RuntimeError("no such operator\nand a page of reasons")

    runtime, keys = made
    monkeypatch.setattr(onnx_file, "_exported", fails)
    with pytest.raises(UsageError, match="^torch cannot write adapter as ONNX: no such operator$"):
        onnx_file.write_onnx(load_scorer(keys["adapter", 0], runtime), tmp_path / "it.onnx")


def test_without_the_extra_its_name_is_said(made, tmp_path, monkeypatch):
    runtime, keys = made
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.chdir(tmp_path)
    where = ["--results", str(runtime.results)]
    words = ["export", keys["adapter", 0], "--to", "x.onnx", "--format", "onnx", *where]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "pip install 'glia-bench[export]'" in result.stderr
    assert not (tmp_path / "x.onnx").exists()
