"""bench.toml and flags: what is in force, and where it came from."""

import pytest

from bench.config import read_config
from bench.errors import UsageError


def written(folder, text):
    (folder / "bench.toml").write_text(text)
    return read_config(folder, {})


def test_without_a_file_and_flags_the_demo_is_the_default(tmp_path):
    config = read_config(tmp_path, {"method": None})
    assert config.preset == "demo"
    assert config.origins["method"] == "built-in"


def test_a_configured_data_root_makes_the_paper_preset_the_default(tmp_path):
    assert written(tmp_path, '[data]\nroot = "/data"').preset == "paper"


def test_flags_win_over_the_file_and_the_file_over_the_built_in(tmp_path):
    (tmp_path / "bench.toml").write_text('[run]\nsplits = 3\ndevice = "cpu"\nmethod = ["glia", "lora"]')
    config = read_config(tmp_path, {"splits": 5, "device": None})
    assert (config["splits"], config.origins["splits"]) == (5, "--splits")
    assert (config["device"], config.origins["device"]) == ("cpu", "bench.toml")
    assert config["method"] == "glia,lora"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[run", "cannot be read"),
        ("[runs]\nsplits=1", "runs"),
        ("[run]\nspilts = 1", "spilts"),
        ('[run]\nsplits = "many"', "splits"),
        ('[run]\ndevice = "tpu"', "device"),
        ("run = 3", "section"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path, text, says):
    with pytest.raises(UsageError, match=says):
        written(tmp_path, text)
