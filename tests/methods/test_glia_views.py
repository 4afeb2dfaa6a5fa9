"""What GLIA's streams see: fragments of the picture in its own size, and rows of Table 5 that differ in x_s and x_d."""

from dataclasses import replace

import numpy as np
import pytest

from bench.core.errors import UsageError
from bench.core.spec import Recipe
from bench.data.pixels.policy import Policy, load_plain
from bench.data.views.batches import ViewMaker, policy_of
from bench.training.session import prepare
from methods.glia import Glia
from protocols.variants import GUIDANCE
from tests.data.test_batches import MEAN, STD, make_dataset
from tests.methods.vits import build, small_vit
from tests.world import make_world, tiny_runtime, tiny_spec

PAPER = Recipe()
SMALL = {"grid": 4, "fragment": 8}


def maker_of(dataset, cache, **options):
    recipe = Recipe(size=32, short_side=40)
    return ViewMaker(dataset, Glia(**SMALL, **options).views(recipe), recipe, cache, "cpu", MEAN, STD)


def test_fragments_are_cut_from_the_picture_in_its_own_size_unless_it_is_to_be_resized_first(tmp_path):
    dataset = make_dataset(tmp_path / "pictures", ((100, 130), (160, 90)))
    for origin, policy in (("original", Policy(min_side=32)), ("resized", Policy(short_side=40))):
        maker = maker_of(dataset, tmp_path / "cache", fragments_from=origin, offset="corner", flips=False)
        raw = maker.raw("detail", np.arange(2), epoch=0, number=0, training=True).numpy()
        for row, path in enumerate(dataset.paths()):
            picture = load_plain(path, policy)
            cell_h, cell_w = (side // 4 for side in picture.shape[:2])
            last = raw[row][24:, 24:]
            assert np.array_equal(last, picture[3 * cell_h :, 3 * cell_w :][:8, :8]), origin


def test_glia_cuts_from_the_original_by_default_and_the_whole_image_is_squeezed_either_way():
    views = Glia().views(PAPER)
    assert policy_of(views["detail"], PAPER) == Policy(short_side=0, min_side=224)
    assert policy_of(views["semantic"], PAPER) == Policy(square=224)
    resized = Glia(fragments_from="resized").views(PAPER)
    assert policy_of(resized["detail"], PAPER) == Policy(short_side=384, min_side=224)


def test_where_a_recipe_resizes_nothing_both_choices_read_one_store_and_see_the_same(tmp_path):
    own = Recipe(size=32, short_side=0)
    policies = {policy_of(Glia(**SMALL, fragments_from=f).views(own)["detail"], own) for f in ("original", "resized")}
    assert len(policies) == 1


@pytest.mark.parametrize("variant", GUIDANCE, ids=lambda variant: "guided by {} main {}".format(*variant.lead))
def test_in_every_row_of_table_5_the_main_stream_is_flipped_and_the_guiding_one_is_not(variant):
    method = Glia(**variant.options)
    views = method.views(PAPER)
    main, guide = views[method.main], views[method._guide]
    kinds = {"x_s": "resize", "x_d": "fragments"}
    assert (kinds[variant.lead[0]], kinds[variant.lead[1]]) == (guide.kind, main.kind)
    assert (main.flips, guide.flips) == (True, False)
    features = build("glia", small_vit(), grid=4, fragment=16, **variant.options).features
    assert (features.pictures, features.frozen["guide"].view) == ((method.main,), method._guide)


def test_rows_of_table_5_differ_in_nothing_but_which_view_is_which():
    by_role = {"main": set(), "guide": set()}
    for variant in GUIDANCE:
        method = Glia(**variant.options)
        views = method.views(PAPER)
        by_role["main"].add(views[method.main])
        by_role["guide"].add(views[method._guide])
    whole, cut = sorted(by_role["guide"], key=lambda view: view.kind, reverse=True)
    assert (whole.kind, cut.kind) == ("resize", "fragments")
    assert by_role["main"] == {replace(view, flips=True) for view in by_role["guide"]}


def test_no_stream_is_flipped_where_the_recipe_flips_nothing():
    for variant in GUIDANCE:
        views = Glia(**variant.options).views(replace(PAPER, flips=False))
        assert not any(view.flips for view in views.values())


def test_the_whole_image_as_main_stream_is_flipped_in_training_and_its_guidance_stays_as_it_is(tmp_path):
    options = {"guidance": "semantic", "main": "semantic"}
    session = prepare(tiny_spec("glia", options=options), tiny_runtime(tmp_path, make_world(tmp_path / "sets")))
    maker, rows = session.feed.maker, np.arange(8)
    epochs = [maker.raw("semantic", rows, epoch=e, number=0, training=True).numpy() for e in range(6)]
    guides = [maker.raw("semantic_guide", rows, epoch=e, number=0, training=True).numpy() for e in range(6)]
    test = maker.raw("semantic", rows, epoch=0, number=0, training=False).numpy()
    assert all(np.array_equal(guide, test) for guide in guides)
    for row in range(8):
        mirrored = [test[row], test[row][:, ::-1], test[row][::-1], test[row][::-1, ::-1]]
        assert all(any(np.array_equal(epoch[row], form) for form in mirrored) for epoch in epochs)
        assert any(not np.array_equal(epoch[row], test[row]) for epoch in epochs)


def test_fragments_that_do_not_lie_on_a_backbones_patches_are_refused_when_it_is_built():
    with pytest.raises(UsageError, match="8 pixels do not lie on this backbone's 16-pixel patches"):
        build("glia", small_vit(), grid=8, fragment=8)
    assert build("glia", small_vit(), grid=8, fragment=8, main="semantic")
