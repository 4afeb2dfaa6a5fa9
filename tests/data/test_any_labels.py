"""Whatever bytes a label file holds, what comes out is a table or one of our errors."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.errors import BenchError
from bench.data.labels.columns import read_csv, read_words
from bench.data.labels.workbooks import read_mat, read_xlsx


def only_our_errors(read, path, data):
    path.write_bytes(data)
    try:
        read()
    except BenchError as error:
        said = str(error)
    else:
        return
    assert path.name in said


TEXTS = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=300).map(lambda text: ("image,score\n" + text).encode("utf-8", "surrogatepass")),
    st.lists(st.lists(st.text(max_size=8), max_size=4), max_size=8).map(
        lambda rows: "\n".join(",".join(row) for row in [["image", "score"], *rows]).encode("utf-8", "surrogatepass")
    ),
)


@settings(max_examples=800)
@given(data=TEXTS)
def test_whatever_a_csv_holds_only_our_errors_come_out(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "fuzzed.csv"

    def read():
        sheet = read_csv("set", path)
        sheet.names("image")
        sheet.numbers_of("score", 0, 5)

    only_our_errors(read, path, data)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("image;score (1,5)\na.png;1\n", ["image", "score (1,5)"]),
        ("image\tscore, mean; all\na.png\t1\n", ["image", "score, mean; all"]),
        ('"image; name",score\na.png,1\n', ["image; name", "score"]),
        ("\nimage;score\na.png;1\n", ["image", "score"]),
        (" \t \r\n\r\nimage\tscore\r\na.png\t1\r\n", ["image", "score"]),
        ("image,a;b\na.png,1\n", ["image", "a;b"]),
    ],
)
def test_a_csv_is_separated_by_the_mark_that_its_header_holds_first(text, columns, tmp_path):
    (tmp_path / "labels.csv").write_bytes(text.encode())
    assert read_csv("set", tmp_path / "labels.csv").columns == dict(zip(columns, (["a.png"], ["1"]), strict=True))


@settings(max_examples=500)
@given(data=st.binary(max_size=200))
def test_whatever_a_text_file_holds_only_our_errors_come_out(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "fuzzed.txt"
    only_our_errors(lambda: read_words("set", path, ("mos", "name")).numbers_of("mos"), path, data)


def damaged(whole, places, junk):
    data = bytearray(whole)
    for place in places:
        start = place % len(data)
        data[start : start + len(junk)] = junk
    return bytes(data)


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory):
    """A sound mat and a sound workbook, small enough that most damage hits something that matters."""
    import numpy as np
    import openpyxl
    from scipy.io import savemat

    folder = tmp_path_factory.mktemp("whole")
    cells = np.empty((1, 4), dtype=object)
    cells[0, :] = ["a.bmp", "b.bmp", "c", "d"]
    mats = []
    for compressed in (False, True):
        savemat(folder / "a.mat", {"names": cells, "x": np.arange(4.0)}, do_compression=compressed)
        mats.append((folder / "a.mat").read_bytes())
    book = openpyxl.Workbook()
    book.active.append(["image", "score"])
    book.active.append(["a.png", 1.5])
    book.save(folder / "a.xlsx")
    return {"mat": mats, "xlsx": [(folder / "a.xlsx").read_bytes()]}


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=700)
@given(
    places=st.lists(st.integers(0, 100_000), max_size=3),
    junk=st.binary(max_size=12),
    kind=st.integers(0, 1),
    cut=st.integers(0, 400),
)
def test_whatever_a_mat_file_holds_only_our_errors_come_out(whole_files, tmp_path_factory, places, junk, kind, cut):
    path = tmp_path_factory.getbasetemp() / "fuzzed.mat"
    data = damaged(whole_files["mat"][kind], places, junk)

    def read():
        assert read_mat("set", path, "names").ndim == 1
        assert read_mat("set", path, "x").ndim == 1

    only_our_errors(read, path, data[: len(data) - cut] if cut < 200 else data)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=250)
@given(places=st.lists(st.integers(0, 100_000), min_size=1, max_size=3), junk=st.binary(max_size=12))
def test_whatever_a_workbook_holds_only_our_errors_come_out(whole_files, tmp_path_factory, places, junk):
    path = tmp_path_factory.getbasetemp() / "fuzzed.xlsx"
    only_our_errors(
        lambda: read_xlsx("set", path, ("image", "score")).numbers_of("score"),
        path,
        damaged(whole_files["xlsx"][0], places, junk),
    )
