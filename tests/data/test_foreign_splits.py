"""Splits that others made: from the seeds in their code, from their files, and none that could run anything."""

import json
import os
import pickle
import random
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.errors import BenchError, DataError, UsageError
from bench.core.split_rules import folds_of, splits_in
from bench.data.dataset import PLACE, Dataset
from bench.data.foreign.kept import keep, read_sides
from bench.data.foreign.pickles import read_plain_pickle
from bench.data.splits import make_split
from tests.data.test_loaders import listed
from tests.data.trees import load
from tests.fixtures_data import real_rows


def real(name):
    """A set with its real names in the order of its label file.

    KonIQ's and FLIVE's lists were compared with their authors' csvs; SPAQ's pictures are numbered. The order of
    LIVEC's mats is not in any list at hand: its hashes are of places, in `test_livecs_…` below.
    """
    dataset = listed(name)
    file = (lambda path: "TestImage/" + path.rsplit("/", 1)[-1]) if name == "spaq" else str
    place = {file(path): i for i, (path, _, _) in enumerate(real_rows(name))}
    table = dataset.table.assign(**{PLACE: dataset.table["image"].map(place)})
    return Dataset(name, None, table, grouped=dataset.grouped, source=name)


PINNED = {
    ("loda", "kadid10k"): (8125, 2000, "29f072a6b176248306dd", "98f558e4d254dd646481"),
    ("loda", "koniq10k"): (8058, 2015, "1377820871705c6fdc48", "c83f33e359b7b4142898"),
    ("loda", "spaq"): (8900, 2225, "23481f77973affe2e0f2", "672a155d55fa38e7c458"),
    ("loda", "flive"): (31848, 7962, "2c63de3e869b0a818b42", "588ce85f8e3090f6a550"),
    ("pyiqa", "spaq"): (8900, 2225, "445779c45301194f6769", "d1f5a9628ff0fdb13c41"),
}
"""By rule and set: pictures trained on and tested, and the hashes of splits 0 and 9."""


@pytest.mark.parametrize(("rule", "name"), PINNED)
def test_the_splits_of_other_peoples_code_are_pinned_with_real_names(rule, name):
    dataset = real(name)
    names = dataset.table["image"].tolist()
    splits = [make_split(dataset, number, split_rule=rule) for number in (0, 9)]
    assert (len(splits[0].train), len(splits[0].test), *(split.hash(names) for split in splits)) == PINNED[rule, name]
    assert splits[0].rule.endswith("unverified")


@pytest.mark.parametrize(("rule", "seed"), [("loda", 3407), ("pyiqa", 123)])
def test_livecs_splits_are_shuffles_of_the_places_in_its_list(rule, seed):
    """As the code has it: one list, shuffled in place by the module's generator once for each split."""
    table = pd.DataFrame({"image": [f"{i:04}.bmp" for i in range(1162)]}).assign(score=1.0, official="")
    table = table.assign(group=table["image"], **{PLACE: table.index[::-1]})
    dataset = Dataset("livec", None, table, grouped=False, source="livec")
    state = random.getstate()
    try:
        random.seed(seed)
        order = list(range(1162))
        for number in range(10):
            random.shuffle(order)
            split = make_split(dataset, number, split_rule=rule)
            assert set(table[PLACE].iloc[split.test]) == set(order[round(0.8 * 1162) :])
    finally:
        random.setstate(state)


def test_kadids_references_are_shuffled_in_the_order_of_their_names():
    dataset = real("kadid10k")
    state = random.getstate()
    try:
        random.seed(3407)
        references = [f"I{k:02}" for k in range(1, 82)]
        for number in range(3):
            random.shuffle(references)
            split = make_split(dataset, number, split_rule="loda")
            assert set(dataset.table["group"].iloc[split.train]) == set(references[:65])
    finally:
        random.setstate(state)


@pytest.mark.parametrize(
    ("rule", "name", "said"),
    [
        ("loda", "live", "LoDa's splits of live cannot be made again: its code shuffled an unsorted set"),
        ("loda", "tid2013", "an unsorted set, whose order another process cannot make again"),
        ("loda", "csiq", "its code has no CSIQ"),
        ("loda", "pipal", "its code does not split it"),
        ("pyiqa", "koniq10k", "it takes the official split: --split-rule official"),
        ("pyiqa", "kadid10k", "its code makes no random split of it"),
        ("pyiqa", "live", "an unsorted set"),
    ],
)
def test_what_cannot_be_made_again_is_refused_in_a_sentence(rule, name, said):
    dataset = Dataset(name, None, pd.DataFrame({"image": [], "group": []}), grouped=True, source=name)
    with pytest.raises(DataError, match=re.escape(said)):
        make_split(dataset, 0, split_rule=rule)


def test_a_renamed_set_is_split_as_the_set_that_it_is(trees, monkeypatch):
    top = trees.fresh("kadid10k", monkeypatch)
    config = {"kadid_copy": {"loader": "kadid10k", "path": str(top)}}
    from bench.data.locate import load_dataset

    assert load_dataset("kadid_copy", config, top / "cache").source == "kadid10k"


def test_a_part_of_a_set_stands_as_the_whole_does(trees, monkeypatch):
    from bench.data.locate import subset

    top = trees.fresh("koniq10k", monkeypatch)
    whole = load("koniq10k", top)
    part = subset(whole, 20)

    def tested(dataset):
        return set(dataset.table["image"].iloc[make_split(dataset, 2, split_rule="loda").test])

    assert tested(part) == tested(whole) & set(part.table["image"])


def test_an_eleventh_split_of_ten_and_a_part_of_a_training_part_are_refused():
    dataset = real("spaq")
    with pytest.raises(UsageError, match="has the splits 0 to 9, not 10"):
        make_split(dataset, 10, split_rule="loda")
    with pytest.raises(UsageError, match="split_rule=loda takes the training part as it is"):
        make_split(dataset, 0, split_rule="loda", fraction=0.2)


def test_a_rule_that_there_is_not_is_refused_with_those_there_are():
    for rule in ("lodda", "file:x.csv", "file:0:0123456789abcdef", "kfold:1", ""):
        with pytest.raises(UsageError, match="is none of random, official, kfold:K"):
            folds_of(rule)
    assert [splits_in(rule) for rule in ("random", "official", "kfold:7", "loda", "file:3:0123456789abcdef")] == [
        0, 0, 7, 10, 3,
    ]  # fmt: skip


def small(groups=6, each=4):
    names = [f"pictures/g{g}_{i}.png" for g in range(groups) for i in range(each)]
    table = pd.DataFrame({"image": names, "score": 1.0, "official": ""})
    table = table.assign(group=[name[9:11] for name in names], **{PLACE: range(len(names))})
    return Dataset("small", None, table, grouped=True)


TWO = [
    {
        "train": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
        "val": [12, 13, 14, 15],
        "test": [16, 17, 18, 19, 20, 21, 22, 23],
    },
    {"train": [*range(8, 24)], "val": [4, 5, 6, 7], "test": [0, 1, 2, 3]},
]
NAMES = small().table["image"].tolist()


def as_csv(folder):
    rows = ["image,split,side"]
    rows += [f"{NAMES[i]},{k},{side}" for k, split in enumerate(TWO) for side, part in split.items() for i in part]
    (folder / "splits.csv").write_text("\n".join(rows) + "\n")
    return folder / "splits.csv"


def as_npy(folder):
    for part in ("train", "val", "test"):
        most = max(len(split[part]) for split in TWO)
        rows = [[*split[part], *[-1] * (most - len(split[part]))] for split in TWO]
        np.save(folder / f"{part}.npy", np.array(rows))
    return folder


def as_texts(folder):
    for k, split in enumerate(TWO, start=1):
        (folder / str(k)).mkdir()
        for part, rows in split.items():
            lines = [f"{NAMES[i]}\t3.2\tgaussian blur\tinvalid\n" for i in rows]
            (folder / str(k) / f"small_{part}_clip.txt").write_text("".join(lines))
    return folder


def as_pickle(folder):
    (folder / "small.pkl").write_bytes(pickle.dumps(dict(enumerate(TWO))))
    return folder / "small.pkl"


def as_json(folder):
    named = [{side: [NAMES[i].rsplit("/", 1)[1] for i in part] for side, part in split.items()} for split in TWO]
    (folder / "split.json").write_text(json.dumps(named))
    return folder / "split.json"


@pytest.mark.parametrize("write", [as_csv, as_npy, as_texts, as_pickle, as_json])
def test_every_format_says_the_same_and_has_the_same_hash(write, tmp_path):
    (tmp_path / "in").mkdir()
    sides = read_sides(small(), write(tmp_path / "in"))
    for split, each in zip(TWO, sides, strict=True):
        found = [each.rows(letter).tolist() for letter in "TVE"]
        assert found == [split["train"], split["val"], split["test"]]
        assert each.remarks == ()
    rule = keep(small(), sides, tmp_path / "results")
    assert rule == "file:2:50e928c835b7d44f"
    split = make_split(small(), 1, split_rule=rule, results=tmp_path / "results", validate=True)
    assert [part.tolist() for part in (split.train, split.validation, split.test)] == [
        TWO[1]["train"], TWO[1]["val"], TWO[1]["test"],
    ]  # fmt: skip


def test_one_of_a_folders_files_stands_for_all(tmp_path):
    as_npy(tmp_path)
    as_texts(tmp_path)
    for file in ("train.npy", "1/small_test_clip.txt"):
        assert read_sides(small(), tmp_path / file)[0].rows("V").tolist() == TWO[0]["val"]


@pytest.mark.parametrize("names", [("Train.txt", "Test.txt"), ("A_TRAIN.txt", "A_test.txt"), ("train.txt", "Test.txt")])
def test_one_of_a_folders_files_stands_for_all_in_whatever_case_the_parts_are_written(names, tmp_path):
    (tmp_path / names[0]).write_text("\n".join(NAMES[:20]))
    (tmp_path / names[1]).write_text("\n".join(NAMES[20:]))
    (tmp_path / "a_test.txt").write_text("\n".join(NAMES[:2]))
    for name in names:
        (only,) = read_sides(small(), tmp_path / name)
        assert "".join(only.letters) == "T" * 20 + "E" * 4


def test_a_second_part_is_tested_whatever_it_is_called(tmp_path):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({1: {"train": list(range(20)), "val": [20, 21, 22, 23]}}))
    assert read_sides(small(), tmp_path / "a.pkl")[0].rows("E").tolist() == [20, 21, 22, 23]


def written(path, *rows):
    path.write_text("\n".join(["image,side", *rows]) + "\n")
    return path


def test_what_a_file_leaves_out_doubles_or_does_not_know_is_named(tmp_path):
    rows = [f"g{g}_{i}.png,{'test' if g == 5 else 'train'}" for g in range(6) for i in range(4)]
    rows = [*rows[:-2], rows[0], "t1.bmp,train"]
    (only,) = read_sides(small(), written(tmp_path / "a.csv", *rows))
    assert only.remarks == (
        "1 of its names are not in the set: t1.bmp",
        "1 of its names are there twice: g0_0.png",
        "2 of the set's pictures are left out: pictures/g5_2.png, pictures/g5_3.png",
    )


def test_a_content_on_both_sides_is_told_and_a_picture_on_both_sides_is_refused(tmp_path):
    rows = [f"g{g}_{i}.png,{'test' if i == 3 else 'train'}" for g in range(6) for i in range(4)]
    (only,) = read_sides(small(), written(tmp_path / "a.csv", *rows))
    assert only.remarks == ("6 contents of 6 on both sides: what is tested was partly learned",)
    with pytest.raises(DataError, match=r"small: .*a\.csv: g0_3\.png stands in train and in test\."):
        read_sides(small(), written(tmp_path / "a.csv", *rows, "g0_3.png,train"))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["x.png,train", "y.png,test"], "has no training picture of this set, whose names begin with x.png"),
        (["g0_0.png,train"], "has no test picture of this set."),
        (["g0_0.png,learn"], "row 2: side is 'learn', none of train, val and test"),
    ],
)
def test_a_file_of_another_set_is_refused(rows, said, tmp_path):
    with pytest.raises(DataError, match=re.escape(said)):
        read_sides(small(), written(tmp_path / "a.csv", *rows))


def test_pictures_of_another_folder_are_not_of_this_set_though_their_files_are_called_the_same(tmp_path):
    rows = [f"{name},{'test' if name[10] == '5' else 'train'}" for name in NAMES]
    strange = [f"others/{name[9:]},train" for name in NAMES[:4]]
    (only,) = read_sides(small(), written(tmp_path / "a.csv", *rows, *strange))
    assert only.remarks == ("4 of its names are not in the set: others/g0_0.png, others/g0_1.png, others/g0_2.png, …",)
    with pytest.raises(DataError, match="has no training picture of this set, whose names begin with others/g0_0.png"):
        read_sides(small(), written(tmp_path / "b.csv", *(row.replace("pictures", "others") for row in rows)))


@pytest.mark.parametrize(
    ("source", "here", "listed"),
    [
        ("koniq10k", "512x384/{}.jpg", "1024x768/{}.jpg"),
        ("csiq", "dst_imgs_all/{}.AWGN.1.png", "dst_imgs/awgn/{}.AWGN.1.png"),
        ("bid", "BID/DatabaseImage000{}.JPG", "ImageDatabase/DatabaseImage000{}.JPG"),
    ],
)
def test_published_lists_of_sets_that_lie_in_several_ways_are_read_by_the_files_names(source, here, listed, tmp_path):
    table = pd.DataFrame({"image": [here.format(i) for i in range(4)], "group": list("abcd")})
    rows = [f"{listed.format(i)},{'test' if i == 3 else 'train'}" for i in range(4)]
    file = written(tmp_path / "a.csv", *rows)
    (only,) = read_sides(Dataset("copy", None, table, grouped=False, source=source), file)
    assert ("".join(only.letters), only.remarks) == ("TTTE", ())
    with pytest.raises(DataError, match="has no training picture of this set"):
        read_sides(Dataset("copy", None, table, grouped=False, source="folder"), file)


def test_a_name_that_may_mean_two_pictures_is_refused(tmp_path):
    table = small().table.assign(image=[f"{i}/img1.bmp" for i in range(24)])
    both = Dataset("small", None, table, grouped=True)
    assert read_sides(both, written(tmp_path / "a.csv", "1/img1.bmp,train", "x/2/img1.bmp,test"))
    with pytest.raises(DataError, match="'img1.bmp' may be 0/img1.bmp or 1/img1.bmp"):
        read_sides(both, written(tmp_path / "a.csv", "img1.bmp,train", "2/img1.bmp,test"))


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.npy", b"no array", "is no array of numbers"),
        ("a.json", b"{", "is no JSON"),
        ("a.json", b'{"a": 1}', "is no table of splits: its keys are a"),
        ("a.json", b'{"train": "x"}', "train is no list of names or numbers"),
        ("a.json", b"[]", "holds no split"),
        ("a.mat", b"x", "is no split file that is known"),
        ("a.csv", b"image,side\n", "has no rows of labels"),
        ("a.pkl", b"\x80\x04", "is damaged"),
        ("a.pkl", b"\x80\x04K\x01.", "has a split that is no table of train, val and test"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(name, data, said, tmp_path):
    path = tmp_path / ("train.npy" if name == "a.npy" else name)
    path.write_bytes(data)
    (tmp_path / "test.npy").write_bytes(data)
    with pytest.raises(DataError, match=re.escape(said)) as caught:
        read_sides(small(), path)
    assert path.name in str(caught.value)


def test_an_array_of_objects_is_never_unpickled(tmp_path):
    for part in ("train", "test"):
        np.save(tmp_path / f"{part}.npy", np.array([[1, 2], [3]], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="is no array of numbers"):
        read_sides(small(), tmp_path)


class Hostile:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_would_run_something_runs_nothing(protocol, tmp_path):
    mark = tmp_path / "ran"
    for hostile in (Hostile(f"touch {mark}"), {"train": [Hostile(f"touch {mark}")]}, np.arange(3), np.int64(3), {1, 2}):
        data = pickle.dumps(hostile, protocol)
        with pytest.raises(DataError, match="nothing of it was run"):
            read_plain_pickle("small", tmp_path / "a.pkl", data)
    assert not mark.exists()


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers() | st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=150)
@given(PLAIN, st.integers(0, 5))
def test_plain_data_are_read_as_pickle_reads_them(value, protocol):
    data = pickle.dumps(value, protocol)
    if protocol == 0 and isinstance(pickle.loads(data), float | bool):
        return
    assert read_plain_pickle("small", "a.pkl", data) == pickle.loads(data)


@settings(max_examples=300)
@given(st.binary(max_size=60), st.integers(0, 200))
def test_whatever_a_pickle_holds_only_our_errors_come_out(data, place):
    whole = pickle.dumps(dict(enumerate(TWO)))
    for each in (data, whole[:place] + data + whole[place + len(data) :]):
        try:
            read_plain_pickle("small", "a.pkl", each)
        except BenchError:
            continue


def test_a_kept_file_that_was_changed_or_is_gone_is_no_split(tmp_path):
    rule = keep(small(), read_sides(small(), as_csv(tmp_path)), tmp_path)
    (kept,) = (tmp_path / "splits").glob("*.csv")
    whole = kept.read_text()
    kept.write_text(whole.replace("TT", "ET", 1))
    with pytest.raises(DataError, match="was changed after it was written"):
        make_split(small(), 0, split_rule=rule, results=tmp_path)
    kept.unlink()
    with pytest.raises(DataError, match="are not kept in .*give their file again with --split-rule file:PATH"):
        make_split(small(), 0, split_rule=rule, results=tmp_path)
