"""`bench profile`: what it counts is right, what it measures adds up, and a regression is an error."""

import copy
import json
import os
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from bench.cli import app
from bench.core.errors import RunError, UsageError
from bench.core.progress import silent
from bench.core.runtime import Runtime
from bench.execution.profiling import processes as profile_command
from bench.execution.profiling.ceilings import measure_ceilings
from bench.execution.profiling.launches import count_launches, union
from bench.execution.profiling.measure import Setting, _job, profile_method, report_of
from bench.execution.profiling.phases import PHASES, watch
from bench.execution.profiling.processes import profile_methods
from bench.execution.profiling.report import (
    LEGEND,
    SPEED_HEADER,
    WORK_HEADER,
    compare_reports,
    limit_line,
    read_report,
    speed_rows,
    work_rows,
    write_report,
)
from bench.execution.profiling.work import count_work
from bench.models.vit import Vit
from bench.report.profile import draw_profile
from bench.training.loop import train
from bench.training.run import make_run
from bench.training.session import prepare
from benchmarks import forwards
from benchmarks.forwards import Views, guided, koniq_costs, probed, walked
from tests.world import TINY, make_world, tiny_runtime, tiny_spec

OPTIONS = {"linear_probe": {}, "glia": {"grid": 2, "fragment": 16, "rank": 8, "heads": 2}, "vpt": {"prompts": 2}}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    home = tmp_path_factory.mktemp("profile")
    runtime = Runtime(results=home / "results", cache=home / "cache", device="cpu", threads=1)
    setting = Setting(backbone=TINY, batch=4, size=32, precision="fp32", steps=3)
    return report_of({name: profile_method(name, o, setting, runtime) for name, o in OPTIONS.items()}, setting)


@pytest.mark.parametrize("name", ["ridge", "rali_noalign", "niqe", "mean"])
def test_what_does_not_learn_by_steps_alone_is_refused_by_name(name, tmp_path):
    setting = Setting(backbone=TINY, batch=4, size=32, precision="fp32", steps=3)
    with pytest.raises(UsageError, match=f"{name} learns by more or by other than training steps"):
        profile_methods([name], [], setting, Runtime(results=tmp_path, cache=tmp_path), silent)


def test_work_is_counted_in_both_directions_and_views_are_free():
    a, w = torch.randn(8, 16), torch.randn(16, 4)
    assert count_work(lambda: a @ w).flops == 2 * 8 * 16 * 4
    assert count_work(lambda: a @ w).bytes == 4 * (8 * 16 + 16 * 4 + 8 * 4)
    assert count_work(lambda: a.view(4, 32).t()[1:]).bytes == 0
    a.requires_grad_()
    assert count_work(lambda: (a @ w).sum().backward()).flops == 2 * (2 * 8 * 16 * 4)


def test_ceilings_are_rates_of_this_machine():
    ceilings = measure_ceilings(torch.device("cpu"), "fp32")
    assert ceilings["matmul_flops"] > 1e8
    assert ceilings["copy_bytes"] > 1e7


def test_a_profile_has_every_number_and_the_phases_add_up(report):
    for one in report["methods"].values():
        assert tuple(one["phases"]) == PHASES
        assert sum(one["phases"].values()) == pytest.approx(1)
        assert all(share >= 0 for share in one["phases"].values())
        assert one["training_images_s"] * one["step_seconds"] == pytest.approx(4)
        assert one["scoring_images_s"] > 0
        assert one["memory_peak_bytes"] > 1e6
    assert all(report["methods"][name]["utilisation"]["matmul"] > 0 for name in ("glia", "vpt"))
    probe, glia = report["methods"]["linear_probe"], report["methods"]["glia"]
    assert probe["gflops_training"] < 0.01 * probe["gflops_scoring"] < 0.01 * glia["gflops_training"]
    assert glia["trainable"] > probe["trainable"]
    assert report["machine"]["versions"]["torch"].startswith(torch.__version__.partition("+")[0])


def test_operators_are_counted_by_the_step_and_those_that_others_call_are_not(report):
    values = torch.ones(4, 4)
    counted = count_launches(lambda: [(values @ values).t() for _ in range(3)], 3, torch.device("cpu"))
    assert counted.operators == 2  # a matmul, which calls mm, and a transpose
    assert (counted.copies, counted.kernels, counted.busy_seconds) == (0, None, None)
    assert count_launches(lambda: values.double(), 1, torch.device("cpu")).copies == 1
    probe, glia = (report["methods"][name] for name in ("linear_probe", "glia"))
    assert 0 < probe["launches"] < glia["launches"]
    assert glia["idle"] is None
    assert speed_rows(report)[1][-2:] == (f"{glia['launches']:,.0f}", "–")


def test_kernels_side_by_side_are_busy_once():
    assert union([]) == 0
    assert union([(5, 7), (0, 2), (1, 3), (1.5, 1.7)]) == 5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a card: torch sees none")
def test_on_a_card_kernels_and_the_time_that_they_take_are_counted():
    values = torch.ones(2048, 2048, device="cuda")
    counted = count_launches(lambda: [values @ values for _ in range(4)], 4, values.device)
    assert counted.kernels is not None
    assert 1 <= counted.kernels < 4
    assert counted.busy_seconds is not None
    assert 1e-5 < counted.busy_seconds < 0.1


@pytest.mark.parametrize(
    ("data", "overhead", "idle", "limit"),
    [
        (0.5, 0.0, 0.9, "the data"),
        (0.1, 0.0, 0.9, "the host, which launches too slowly"),
        (0.1, 0.0, 0.1, "the device"),
        (0.1, 0.5, None, "the host's own overhead"),
        (0.1, 0.1, None, "the device"),
    ],
)
def test_one_line_says_what_the_limit_is(report, data, overhead, idle, limit):
    one = {"phases": {"data": data, "overhead": overhead}, "idle": idle}
    assert limit_line({"methods": {"glia": one}}).startswith(f"The limit: {limit}")
    both = {"methods": {"glia": one, "lora": one}}
    assert limit_line(both).endswith("(glia, lora).")
    assert limit_line(report).startswith("The limit: ")


def test_a_profile_says_what_it_is_at_and_of_which_method(tmp_path):
    said = []
    runtime = Runtime(results=tmp_path / "results", cache=tmp_path / "cache", device="cpu", threads=1)
    setting = Setting(backbone=TINY, batch=2, size=32, steps=1)
    report, failed = profile_methods(["linear_probe"], [], setting, runtime, silent, say=said.append)
    assert (list(report["methods"]), failed) == (["linear_probe"], {})
    assert all("1/1 linear_probe: " in line for line in said)
    assert [line.partition("linear_probe: ")[2] for line in said] == [
        "a fresh process", "2 pictures and the network", "frozen inputs", "training, 1 steps", "scoring",
        "its operations, and what the device can do",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_method_whose_process_is_killed_is_said_to_be_and_the_others_are_measured(tmp_path, monkeypatch):
    runtime = Runtime(results=tmp_path / "results", cache=tmp_path / "cache", device="cpu", threads=1)
    monkeypatch.setattr(profile_command, "_measure", os._exit)  # which ends a process at once, whatever it is given
    with pytest.raises(RunError, match="was killed, most likely for memory"):
        profile_methods(["linear_probe"], [], Setting(backbone=TINY), runtime, silent)


def test_an_earlier_profile_without_launches_is_compared_by_what_it_has(report):
    before = copy.deepcopy(report)
    for one in before["methods"].values():
        del one["launches"]
    assert "launches" not in {change.what for change in compare_reports(report, before, 0.1)}
    assert "launches" in {change.what for change in compare_reports(report, report, 0.1)}


def test_a_step_on_two_pictures_is_one_step_on_two_pictures(tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr(
        "bench.execution.profiling.measure.watch",
        lambda job, *_: (trained.append(len(job.train)), (1.0, {"data": 1.0}))[1],
    )
    runtime = Runtime(results=tmp_path / "results", cache=tmp_path / "cache", device="cpu", threads=1)
    setting = Setting(backbone=TINY, batch=2, size=32, precision="fp32", steps=1)
    measured = profile_method("linear_probe", {}, setting, runtime)
    assert trained == [2]
    assert measured["step_seconds"] == 1
    assert measured["training_images_s"] == 2


def test_the_device_is_waited_for_only_where_phases_are_watched(tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr("bench.execution.profiling.phases.wait_for", waits.append)
    runtime = tiny_runtime(tmp_path, make_world(tmp_path))
    session = prepare(tiny_spec("linear_probe"), runtime)
    job = _job(session, 12)
    train(job)
    assert not waits
    seconds, phases = watch(job, train)
    assert len(waits) > 4
    assert seconds == pytest.approx(sum(phases.values()))
    waits.clear()
    train(job)
    assert not waits


def test_compiled_steps_are_measured_compiled_and_never_against_plain_ones(report, tmp_path, monkeypatch):
    compiled = []
    monkeypatch.setattr("bench.training.loop.CompiledParts", lambda model: compiled.append(model) or model)
    setting = Setting(backbone=TINY, batch=4, size=32, precision="fp32", steps=3)
    runtime = tiny_runtime(tmp_path, {}, compiled=True)
    measured = report_of({"linear_probe": profile_method("linear_probe", {}, setting, runtime)}, setting)
    assert compiled
    with pytest.raises(UsageError, match="compiled was False and is now True"):
        compare_reports(measured, report, 0.1)


def test_the_command_passes_compile_on(report, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        profile_command, "profile_methods", lambda *asked: seen.append(asked[3].compiled) or (report, {})
    )
    for flags in ([], ["--compile"]):
        CliRunner().invoke(app, ["profile", "linear_probe", "--results", str(tmp_path), *flags])
    assert seen == [False, True]


def test_a_profile_is_written_read_and_drawn(report, tmp_path):
    path = tmp_path / "profiles" / "mine.json"
    write_report(report, path)
    assert read_report(path) == json.loads(json.dumps(report))
    assert [row[0] for row in work_rows(report)] == [row[0] for row in speed_rows(report)] == list(OPTIONS)
    png, svg = draw_profile(report, path.with_suffix(""))
    assert png.read_bytes()[:4] == b"\x89PNG"
    assert "glia" in svg.read_text()
    path.write_text("[]")
    with pytest.raises(UsageError, match="is no profile"):
        read_report(path)


def test_a_slower_method_is_a_regression_and_a_faster_one_is_not(report):
    before = copy.deepcopy(report)
    assert not any(change.worse for change in compare_reports(report, before, 0.1))
    before["methods"]["glia"]["training_images_s"] *= 2
    before["methods"]["glia"]["memory_peak_bytes"] *= 2
    worse = [change for change in compare_reports(report, before, 0.1) if change.worse]
    assert [(c.method, c.what) for c in worse] == [("glia", "training_images_s")]
    assert worse[0].ratio == pytest.approx(0.5)
    assert not any(change.worse for change in compare_reports(report, before, 0.6))


def test_profiles_of_other_settings_are_not_compared(report):
    before = copy.deepcopy(report)
    before["setting"]["batch"] = 8
    with pytest.raises(UsageError, match="batch was 8"):
        compare_reports(report, before, 0.1)


def test_forward_equivalents_of_a_koniq_split_reach_the_targets():
    costs = {cost.what: cost for cost in koniq_costs()}
    loda = costs["LoDa beside the official code"]
    assert (loda.theirs, loda.ours) == (2 * 241_740 + 302_250, 2 * 241_740 + 30_225)
    assert loda.ratio <= 0.66
    assert costs["GLIA beside a naive two-stream model"].ratio <= 0.40
    assert costs["ten linear probes beside ten naive ones"].ratio <= 0.10


def test_the_script_prints_what_the_page_says(capsys):
    forwards.main()
    assert "65.4%" in capsys.readouterr().out


@pytest.mark.parametrize("method", ["adapter", "glia", "linear_probe"])
def test_the_count_is_what_a_run_really_does(method, tmp_path, monkeypatch):
    seen = []
    embed = Vit.embed

    def counted(self, pictures):
        seen.append(len(pictures))
        return embed(self, pictures)

    monkeypatch.setattr(Vit, "embed", counted)
    monkeypatch.setattr("bench.training.run.scoring_gflops", lambda _session: None)
    spec = tiny_spec(method)
    make_run(spec, tiny_runtime(tmp_path, make_world(tmp_path)))
    images, recipe = 24, spec.recipe
    groups_trained = 5 / 6  # six contents, of which five train
    views = Views.of(images, recipe, groups_trained)
    forwards = {
        "adapter": walked(views) - views.training,  # without the backwards
        "glia": guided(views) - views.training,
        "linear_probe": probed(views, recipe, 10),
    }[method]
    # the shape of what is kept is found out with one picture more
    assert sum(seen) - forwards in ((0,) if method == "adapter" else (0, 1))


def test_the_command_refuses_a_recipe_setting():
    assert CliRunner().invoke(app, ["profile", "adapter", "--set", "epochs=3"]).exit_code == 2


def test_a_method_that_fails_takes_no_others_numbers_with_it(report, monkeypatch):
    def measured(name, *_):
        if name == "vpt":
            raise ZeroDivisionError("its own fault")
        return {**report["methods"][name], "machine": report["machine"]}

    monkeypatch.setattr(profile_command, "_in_fresh_process", measured)
    made, failed = profile_methods(["linear_probe", "vpt"], [], Setting(backbone=TINY), Runtime(Path(), Path()), silent)
    assert list(made["methods"]) == ["linear_probe"]
    assert failed == {"vpt": "ZeroDivisionError: its own fault"}
    with pytest.raises(RunError, match="Nothing could be measured. vpt: ZeroDivisionError"):
        profile_methods(["vpt"], [], Setting(backbone=TINY), Runtime(Path(), Path()), silent)


def test_every_heading_is_explained_below_the_tables():
    said = " ".join(LEGEND)
    for heading in (*WORK_HEADER[1:], *SPEED_HEADER[1:]):
        between = heading in ("GFLOPs train", "forward", "backward", "optimiser")  # "score, train"; "data to overhead"
        assert heading in said or between, heading


def test_the_command_prints_the_legend_and_never_overwrites_what_it_compares_with(report, tmp_path, monkeypatch):
    monkeypatch.setattr(profile_command, "profile_methods", lambda *_: (report, {}))
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(app, ["profile", "linear_probe"])
    assert LEGEND[0].split(":")[0] in shown.stdout
    own = tmp_path / "results" / "profiles" / "profile.json"
    before = own.read_bytes()
    again = CliRunner().invoke(app, ["profile", "linear_probe", "--against", str(own)])
    assert again.exit_code == 2
    assert "give it another --name" in again.stderr
    assert own.read_bytes() == before
    assert CliRunner().invoke(app, ["profile", "linear_probe", "--against", str(own), "--name", "now"]).exit_code == 0
