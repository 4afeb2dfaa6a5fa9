"""RALI's first stage: the encoder is aligned to texts about the training pictures, and to nothing else."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.core.errors import DataError, Interrupted, PlanError, UsageError, WeightsError
from bench.core.hashes import file_token
from bench.core.registry import METHODS
from bench.core.spec import Recipe
from bench.models.conformance import RandomToolbox
from bench.models.part import TrainingPart
from bench.models.texts import ClipTexts, random_texts
from bench.planning.plan import Ask, make_plan
from bench.training.run import make_run
from bench.training.signals import Signals
from methods.rali import contrastive, flat
from tests.methods.vits import small_vit
from tests.world import make_world, tiny_runtime, tiny_spec

CPU = torch.device("cpu")
GROUPS, LEVELS = 6, 4


def captions(folder, *, about=lambda image: f"a picture of {image[:2]} with noise {image[3]}", sets=("",), name="c"):
    """A file of captions of the tiny world's pictures, and the hash that a run has for it."""
    images = [f"g{group}_{level}.png" for group in range(GROUPS) for level in range(LEVELS)]
    lines = [json.dumps({"image": f"{one}{image}", "text": about(image)}) for one in sets for image in images]
    path = folder / f"{name}.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path, file_token(path)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    home = tmp_path_factory.mktemp("world")
    return home, make_world(home)


def run(world, results, path, **changes):
    """A run of a second with this file of captions: its record and predictions."""
    home, data = world
    options = {"captions": file_token(path), "align_epochs": 2, "align_batch": 8} | changes.pop("options", {})
    spec = tiny_spec("rali", options=options, **changes)
    files = {file_token(path): path}
    return make_run(spec, tiny_runtime(home, data, results=results, weight_files=files, keep_weights="always"))


def fitted(texts, *, pictures=24, **options):
    """A model fitted on noise of two strengths, the stronger the worse, with these texts."""
    method = METHODS.make("rali", options)
    model = method.build(small_vit(), Recipe(size=64), RandomToolbox()).eval()
    generator = torch.Generator().manual_seed(0)
    strengths = torch.tensor([0.2, 2.0]).repeat(pictures // 2).view(-1, 1, 1, 1)
    crops = strengths * torch.randn(pictures, 3, 64, 64, generator=generator)
    part = TrainingPart(
        scores=np.tile([1.0, -1.0], pictures // 2),
        contents=np.arange(pictures).astype(str),
        views=1,
        load=lambda rows, view: {"crop": crops[torch.from_numpy(rows)]},
        device=CPU,
        texts=lambda _: texts,
    )
    with torch.no_grad():
        method.fit(model, part)
    return model, crops


def test_the_loss_is_clips_both_ways():
    generator = torch.Generator().manual_seed(1)
    pictures, texts = (torch.randn(5, 7, generator=generator).double() for _ in range(2))
    texts = texts / texts.norm(dim=1, keepdim=True)
    cosine = (pictures / pictures.norm(dim=1, keepdim=True) @ texts.T / 0.1).numpy()
    rows = np.log(np.exp(cosine).sum(1)) - np.diag(cosine)
    columns = np.log(np.exp(cosine).sum(0)) - np.diag(cosine)
    assert float(contrastive(pictures, texts, 0.1)) == pytest.approx((rows.mean() + columns.mean()) / 2)


def test_pictures_come_to_lie_where_their_texts_do_and_the_vit_itself_stays():
    texts = ["sharp and clean", "drowned in noise"] * 12
    model, crops = fitted(texts, align_epochs=15, align_rate=1e-3, align_batch=8)
    vit = small_vit()
    assert torch.equal(flat(model.features.vit), flat(vit))
    assert len(model.features.encoder) == len(flat(vit))

    def apart(features):
        """How far the two kinds lie from one another, in the spread within them."""
        clean, noisy = features[::2], features[1::2]
        return float((clean.mean(0) - noisy.mean(0)).norm() / (clean.std(0).norm() + noisy.std(0).norm()))

    with torch.no_grad():
        before, after = vit.eval()(crops), model.features.encode(crops)
    assert apart(after) > 1.5 * apart(before)


def test_other_texts_make_another_encoder_and_equal_ones_the_same():
    texts = [f"picture {number}" for number in range(24)]
    one, same, other = (fitted(words)[0].features.encoder for words in (texts, texts, texts[::-1]))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_stages_two_and_three_stand_on_the_aligned_encoder():
    model, crops = fitted([f"picture {number}" for number in range(24)], align_rate=1e-2)
    features = model.features
    seen = features.encode(crops)
    assert features.get_buffer("mean") == pytest.approx(seen.mean(0), abs=1e-4)
    model.train()
    model({"crop": crops}).sum().backward()
    learn = {name for name, p in model.named_parameters() if p.grad is not None}
    assert learn == {"features.vectors", "features.values"}


def test_a_smoke_runs_pictures_go_by_the_name_of_their_whole_set(world, tmp_path):
    path, token = captions(tmp_path, sets=("near/",))
    home, data = world
    spec = tiny_spec("rali", options={"captions": token, "align_epochs": 1}, limit=20)
    make_run(spec, tiny_runtime(home, data, results=tmp_path / "results", weight_files={token: path}))


def test_a_run_is_restored_without_its_captions_and_gives_the_same_scores(world, tmp_path):
    path, token = captions(tmp_path)
    record, arrays = run(world, tmp_path / "results", path)
    assert record["parameters"]["trainable"] > len(flat(small_vit()))
    moved = path.rename(tmp_path / "elsewhere.jsonl")
    home, data = world
    options = {"captions": token, "align_epochs": 2, "align_batch": 8}
    spec = tiny_spec("rali", options=options, tests=("near:test", "far:all"))
    again, more = make_run(spec, tiny_runtime(home, data, results=tmp_path / "results"))
    assert again["loss"] == record["loss"]
    assert np.array_equal(more["near:test/predicted"], arrays["near:test/predicted"])
    fresh = tiny_runtime(home, data, results=tmp_path / "fresh")
    with pytest.raises(WeightsError, match="captions=FILE"):
        make_run(spec, fresh)
    moved.write_text("{}\n")
    with pytest.raises(WeightsError, match="has changed"):
        make_run(spec, replace(fresh, weight_files={token: moved}))


def test_texts_about_test_pictures_make_no_difference(world, tmp_path):
    path, _ = captions(tmp_path)
    _, arrays = run(world, tmp_path / "one", path)
    tested = set(arrays["near:test/names"])

    def lies(image):
        return f"a lie about {image}" if image in tested else f"a picture of {image[:2]} with noise {image[3]}"

    _, same = run(world, tmp_path / "two", captions(tmp_path, about=lies, name="lies")[0])
    assert np.array_equal(same["near:test/predicted"], arrays["near:test/predicted"])
    _, other = run(world, tmp_path / "three", captions(tmp_path, about=str.upper, name="other")[0])
    assert not np.array_equal(other["near:test/predicted"], arrays["near:test/predicted"])


def test_training_pictures_without_a_text_are_counted_and_one_is_named(world, tmp_path):
    path, _ = captions(tmp_path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[::2]) + "\n")
    with pytest.raises(DataError, match=r"no text for \d+ pictures of \d+ that are trained on, such as g\d_[13]"):
        run(world, tmp_path / "results", path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("no json", r"line 2: not of the form"),
        ('["image"]', r"line 2: not of the form"),
        ('{"image": "a.png", "text": " "}', r"line 2: not of the form"),
        ('{"image": "a.png", "text": "another"}', r"line 2: another text for a.png"),
    ],
)
def test_a_file_that_is_no_file_of_captions_is_refused_with_its_line(world, tmp_path, line, said):
    path = tmp_path / "captions.jsonl"
    path.write_text('{"image": "a.png", "text": "one"}\n' + line + "\n")
    with pytest.raises(PlanError, match=said):
        run(world, tmp_path / "results", path)


def test_several_sets_trained_on_together_are_aligned_together(world, tmp_path):
    """What the paper calls RALI of several sets."""
    home, data = world
    path, token = captions(tmp_path, sets=("near/", "far/"))
    options = {"captions": token, "align_epochs": 1}
    spec = replace(tiny_spec("rali", options=options), train="far+near")
    record, arrays = make_run(spec, tiny_runtime(home, data, results=tmp_path / "results", weight_files={token: path}))
    assert record["spec"]["train"] == "far+near"
    assert np.isfinite(arrays["near:test/predicted"]).all()
    lacking, token = captions(tmp_path, sets=("near/",), name="near")
    spec = replace(spec, options=spec.options | {"captions": token})
    with pytest.raises(DataError, match="such as far/g"):
        make_run(spec, tiny_runtime(home, data, results=tmp_path / "two", weight_files={token: lacking}))


class StopAfter:
    """Signals that ask to stop after so many looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def is_set(self) -> bool:
        self.looks -= 1
        return self.looks < 0


@pytest.mark.parametrize("looks", [2, 12])
def test_a_run_that_was_stopped_ends_in_the_same_bits(world, tmp_path, monkeypatch, looks):
    """Stopped in the first stage, which then begins anew, or in the descent, which goes on without it."""
    steps = 6  # of the first stage
    home, data = world
    path, token = captions(tmp_path)
    _, whole = run(world, tmp_path / "whole", path, recipe={"epochs": 6})
    options = {"captions": token, "align_epochs": 2, "align_batch": 8}
    spec = tiny_spec("rali", options=options, recipe={"epochs": 6})
    runtime = tiny_runtime(home, data, results=tmp_path / "stopped", weight_files={token: path})
    fits = []
    monkeypatch.setattr("methods.rali.contrastive", lambda *given: fits.append(1) or contrastive(*given))
    with pytest.raises(Interrupted):
        make_run(spec, runtime, signals=Signals(stop=StopAfter(looks)))
    descended, done = runtime.results.joinpath("checkpoints").exists(), len(fits)
    assert descended == (looks > steps)
    _, resumed = make_run(spec, runtime)
    assert len(fits) - done == (0 if descended else steps)
    assert np.array_equal(resumed["near:test/predicted"], whole["near:test/predicted"])


def planned(*methods, settings=(), file=None):
    more = {} if file is None else {"file": file}
    return make_plan(Ask(methods, ("main",), "demo", splits=1, settings=settings, **more))


def test_without_captions_it_is_refused_and_all_leaves_it_out():
    with pytest.raises(UsageError, match=r"rali: .*rali\.captions=FILE; rali_noalign is the paper's own ablation"):
        planned("rali")
    plan = planned("all")
    assert "rali" not in {spec.method for spec in plan.specs}
    assert "rali_noalign" in {spec.method for spec in plan.specs}
    assert [why for why in plan.unfit if why.startswith("rali: its first stage")]


def test_the_content_of_the_captions_is_part_of_a_runs_name_and_their_place_is_not(tmp_path):
    path, token = captions(tmp_path)
    one = planned("rali", settings=(f"rali.captions={path}",))
    assert one.specs[0].options["captions"] == token
    assert one.weight_files == {token: path}
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(path.read_bytes())
    assert planned("rali", settings=(f"captions={copy}",)).specs == one.specs
    assert planned("rali", settings=(f"rali.captions={token}",)).specs == one.specs
    other, _ = captions(tmp_path, about=str.upper, name="other")
    assert planned("rali", settings=(f"rali.captions={other}",)).specs[0].key != one.specs[0].key
    assert "rali" in {spec.method for spec in planned("all", settings=(f"rali.captions={path}",)).specs}
    with pytest.raises(UsageError, match="there is no such file"):
        planned("rali", settings=("rali.captions=nowhere.jsonl",))


def test_a_random_text_encoder_knows_words_and_is_there_only_where_all_weights_are_random(world, tmp_path):
    one, same, other = random_texts(["a blurred cat", "cat, a blurred", "noise"], CPU)
    assert torch.allclose(one, same, atol=1e-6)
    assert not torch.allclose(one, other)
    path, token = captions(tmp_path)
    home, data = world
    spec = replace(tiny_spec("rali", options={"captions": token, "text_encoder": "none:such"}), weights="random")
    make_run(spec, tiny_runtime(home, data, results=tmp_path / "r", weight_files={token: path}))


def test_without_open_clip_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "open_clip", None)
    with pytest.raises(WeightsError, match=r"not installed here\.\nInstall it: pip install"):
        ClipTexts("ViT-S-32:none", "", {})(["a text"], CPU)


@pytest.mark.slow  # to import it and to make a model of 60 million weights
def test_a_text_encoder_of_open_clip_reads_texts(tmp_path):
    clip = pytest.importorskip("open_clip", reason="open_clip comes with the extra `captions`")
    torch.manual_seed(0)
    model = clip.create_model("ViT-S-32").eval()
    path = tmp_path / "text.pt"
    torch.save(model.state_dict(), path)
    token = file_token(path)
    texts = [f"a picture with noise {number}" for number in range(70)]
    given = ClipTexts("ViT-S-32:none", token, {token: path})(texts, CPU)
    with torch.no_grad():
        assert given == pytest.approx(model.encode_text(clip.get_tokenizer("ViT-S-32")(texts)), abs=1e-4)
    with pytest.raises(UsageError, match="no model 'ViT-S-23'.*ViT-S-32"):
        ClipTexts("ViT-S-23:openai", "", {})(texts, CPU)
    with pytest.raises(UsageError, match="no weights 'opnai' of ViT-B-32: write ViT-B-32:TAG"):
        ClipTexts("ViT-B-32:opnai", "", {})(texts, CPU)
    torch.save({"strange": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match=r"cannot be loaded(.|\n)*text_weights=FILE"):
        ClipTexts("ViT-S-32:none", file_token(path), {file_token(path): path})(texts, CPU)
