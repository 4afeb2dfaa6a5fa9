"""What a model says of itself is so: its labels, the licences it stands on, what is in its file, how it learned."""

import pytest

from bench.core.spec import RunSpec
from bench.data.synthesis.human_cells import NO_OPINIONS
from bench.records.store import Store
from bench.scoring.about import About, licences_of
from bench.scoring.card import card
from bench.scoring.load import load_scorer
from bench.scoring.runs import run_of_key
from tests.scoring.worlds import make_runs
from tests.world import tiny_spec


def said_of(train: str, preset: str = "demo"):
    plain = tiny_spec("lora").as_dict() | {"train": train, "preset": preset, "weights": "pretrained"}
    spec = RunSpec.from_dict(plain | {"tests": [f"{train.partition('+')[0]}:test"]})
    return " ".join(About(spec, "", "", 2).cautions), licences_of(spec, {"some_vit": "hub"})[1:]


@pytest.mark.parametrize(
    ("train", "preset", "named"),
    [
        ("demo_a", "demo", "demo_a"),
        ("demo_a+demo_wild", "demo", "demo_a and demo_wild"),
        ("demo_a", "paper", "demo_a"),
        ("study_tune", "study", "study_tune"),
    ],
)
def test_a_model_of_made_sets_says_that_their_labels_are_no_opinions_whatever_the_preset(train, preset, named):
    cautions, licences = said_of(train, preset)
    assert f"learned from the made labels of {named} (no opinions on these pictures)" in cautions
    assert licences == ()


@pytest.mark.parametrize(
    ("train", "notes", "named"),
    [("far", [NO_OPINIONS], "far"), ("far+near", [f"near: {NO_OPINIONS}"], "near"), ("far", None, "")],
)
def test_a_model_of_a_synthesized_folder_says_so_too(train, notes, named):
    spec = RunSpec.from_dict(tiny_spec("lora").as_dict() | {"train": train, "tests": ["far:test"]})
    cautions = " ".join(About(spec, "", "", 2, data={"notes": notes}).cautions)
    assert (f"made labels of {named} (no opinions on these pictures)" in cautions) == bool(named)


def test_of_a_mix_each_set_that_is_somebody_s_has_its_terms_named():
    cautions, licences = said_of("demo_a+near")
    assert "the made labels of demo_a (" in cautions
    assert [line for line in licences if "The data set near has terms" in line] == list(licences) != []
    assert len(said_of("far+near")[1]) == 2


def test_weights_from_a_file_of_the_user_s_have_no_licence_that_we_know():
    spec = tiny_spec("lora")
    theirs, own = (licences_of(spec, {"vit_small_patch14_dinov2": source})[0] for source in ("hub", "file mine.pth"))
    assert "Apache-2.0" in theirs
    assert (
        own == "The weights of vit_small_patch14_dinov2 came from the file mine.pth, whose licence is not known here."
    )
    assert licences_of(spec, {"vit_small_patch14_dinov2": "random"}) == licences_of(spec, {})


def test_no_licence_says_that_weights_are_not_in_a_file_which_may_hold_them():
    line = licences_of(tiny_spec("full_finetune"), {"vit_base_patch16_dinov3": "hub"})[0]
    assert "not in this file" not in line
    assert "trained further or not" in line


CARDS = {
    "adapter": ["| Training | 2 epochs, batches of 8", "2 of 32 pixels in a test", "What is frozen is not in the file"],
    "full_finetune": ["The file holds the network as training left it", "| Training | 2 epochs"],
    "ridge": ["| Training | a fit, no descent |", "What is frozen is not in the file"],
    "brisque": [
        "| Training | a fit, no descent |",
        "| Views | the whole picture, once |",
        "no network of timm's is loaded",
    ],
}


@pytest.mark.parametrize("method", CARDS)
def test_a_card_says_how_its_model_learned_what_it_looks_at_and_what_the_file_holds(method, tmp_path):
    runtime, keys = make_runs(tmp_path, (method,))
    scorer = load_scorer(keys[method, 0], runtime)
    text = card(run_of_key(Store(runtime.results), keys[method, 0]), scorer, "mine")
    assert [part for part in CARDS[method] if part not in text] == []
    assert ("Chosen epoch" in text) == (method in ("adapter", "full_finetune"))
