"""bench.toml and flags: what is in force, and where it came from."""

import pytest

from bench.cli.config import read_config
from bench.core.errors import UsageError


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


def test_plugins_are_files_beside_the_configuration(tmp_path):
    assert written(tmp_path, 'plugins = ["x.py"]').plugins == (str(tmp_path / "x.py"),)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[run", "cannot be read"),
        ("[runs]\nsplits=1", "runs"),
        ("[run]\nspilts = 1", "spilts"),
        ('[run]\nsplits = "many"', "splits"),
        ('[run]\ndevice = "tpu"', "device"),
        ("run = 3", "section"),
        ("[run]\nsplits = -1", r"bench.toml: \[run\] splits=-1 must be at least 0"),
        ("[run]\nthreads = -2", "threads=-2 must be at least 0"),
        ("[run]\npack = -1", "pack=-1 must be at least 0"),
        ("[run]\ncache_limit_gb = -1.5", "cache_limit_gb=-1.5 must be at least 0"),
        ("[run]\ncheckpoint_minutes = -1", "checkpoint_minutes=-1.0 must be at least 0"),
        ("[run]\nmethod = 3", r"\[run\] method must be a text or a list of texts, not 3"),
        ("[run]\nmethod = [3]", "method must be a text or a list of texts"),
        ('[run]\npreset = "foo"', "preset='foo' is none of demo, study, paper"),
        ('[run]\nprecision = "auto"', 'precision = "auto" is no setting any more.*runs are fp32'),
        ("plugins = 3", "plugins must be a list of files"),
        ('plugins = "x.py"', "plugins must be a list of files"),
        ("plugins = [3]", "plugins must be a list of files"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path, text, says):
    with pytest.raises(UsageError, match=says):
        written(tmp_path, text)


def test_an_empty_name_of_the_results_folder_is_refused_and_not_taken_for_the_working_folder(tmp_path):
    with pytest.raises(UsageError, match="results is empty: name the folder"):
        written(tmp_path, '[run]\nresults = ""\n')


@pytest.mark.parametrize("below", [False, True])
def test_a_tilde_in_the_file_or_a_flag_is_the_home(tmp_path, monkeypatch, below):
    monkeypatch.setenv("HOME", "/home/me")
    folder = tmp_path / "below" if below else tmp_path
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    (tmp_path / "bench.toml").write_text('[run]\nresults = "~/x"\ncache = "~/c"\n')
    config = read_config(folder, {})
    assert (config["results"], str(config.cache)) == ("/home/me/x", "/home/me/c")
    assert read_config(folder, {"results": "~/y"})["results"] == "/home/me/y"
