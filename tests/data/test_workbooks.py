"""Workbooks and MATLAB files: sound ones are read as SciPy and openpyxl do, hostile ones are refused unread."""

import io
import struct
import zipfile
import zlib

import numpy as np
import openpyxl
import pytest
from scipy.io import loadmat, savemat

from bench.core.errors import DataError
from bench.data.labels.matfile import MAX_UNPACKED, MatFile
from bench.data.labels.workbooks import read_mat, read_xlsx


def cells(*texts, column=False):
    array = np.empty((len(texts), 1) if column else (1, len(texts)), dtype=object)
    array.ravel()[:] = texts
    return array


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", ["u1", "i2", "i4", "u8", "f4", "f8"])
def test_numbers_are_those_scipy_reads(tmp_path, kind, compressed):
    values = (np.arange(37) * 3).astype(kind)[None]
    savemat(tmp_path / "a.mat", {"other": cells("x"), "x": values, "last": 1.0}, do_compression=compressed)
    assert np.array_equal(read_mat("s", tmp_path / "a.mat", "x"), loadmat(tmp_path / "a.mat")["x"].ravel())


@pytest.mark.parametrize("column", [False, True])
def test_cell_arrays_of_names_are_read_in_either_direction(tmp_path, column):
    names = ["a.bmp", "quite a long name.JPG", "é.png", "b"]
    savemat(tmp_path / "a.mat", {"names": cells(*names, column=column)})
    assert read_mat("s", tmp_path / "a.mat", "names").tolist() == names


def test_numbers_of_the_other_byte_order_are_read(tmp_path):
    def element(kind, body):
        return struct.pack(">II", kind, len(body)) + body + bytes(-len(body) % 8)

    head = element(6, struct.pack(">II", 6, 0)) + element(5, struct.pack(">ii", 1, 3)) + element(1, b"x")
    body = head + element(9, struct.pack(">3d", 1.5, -2.0, 3.25))
    data = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI" + element(14, body)
    assert MatFile(data).vector("x").tolist() == [1.5, -2.0, 3.25]
    assert loadmat(io.BytesIO(data))["x"].tolist() == [[1.5, -2.0, 3.25]]


def test_a_variable_that_is_not_there_is_named_with_those_that_are(tmp_path):
    savemat(tmp_path / "dmos.mat", {"dmos": 1.0, "orgs": 0.0})
    with pytest.raises(DataError, match="no variable 'dmos_new'; its variables are: dmos, orgs"):
        read_mat("live", tmp_path / "dmos.mat", "dmos_new")


@pytest.mark.parametrize(
    "value",
    [{"a": 1}, 1 + 2j, cells(cells("a", "b")), cells({"a": 1}), cells(np.arange(3.0)), "a name"],
    ids=["struct", "complex", "cells in cells", "struct in a cell", "numbers in a cell", "text"],
)
def test_what_is_neither_numbers_nor_names_is_refused(tmp_path, value):
    savemat(tmp_path / "a.mat", {"x": value})
    with pytest.raises(DataError, match="cannot be read"):
        read_mat("s", tmp_path / "a.mat", "x")


def test_a_matlab_73_file_is_told_by_its_name(tmp_path):
    (tmp_path / "a.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF")
    with pytest.raises(DataError, match=r"MATLAB 7\.3"):
        read_mat("s", tmp_path / "a.mat", "x")


def test_a_mat_file_that_unpacks_to_a_bomb_is_refused(tmp_path):
    body = zlib.compress(bytes(MAX_UNPACKED + 10), 9)
    data = b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + struct.pack("<II", 15, len(body)) + body
    (tmp_path / "a.mat").write_bytes(data)
    with pytest.raises(DataError, match="unpacks to more than"):
        read_mat("s", tmp_path / "a.mat", "x")


def test_a_mat_file_that_claims_a_billion_cells_is_refused_at_once(tmp_path):
    savemat(tmp_path / "a.mat", {"x": cells("a", "b")})
    data = bytearray((tmp_path / "a.mat").read_bytes())
    place = data.index(struct.pack("<ii", 1, 2))
    data[place : place + 8] = struct.pack("<ii", 1, 2**30)
    (tmp_path / "a.mat").write_bytes(data)
    with pytest.raises(DataError, match="claims 1073741824 cells"):
        read_mat("s", tmp_path / "a.mat", "x")


def workbook(path, rows, title="all_by_image"):
    book = openpyxl.Workbook()
    book.active.title = title
    for row in rows:
        book.active.append(row)
    book.save(path)


def test_a_table_is_found_below_its_header_and_integers_stay_integers(tmp_path):
    rows = [["CSIQ"], [], [None, None, "image", "DMOS"], [None, None, 1600, 0.5], [], [None, None, "boston", 1]]
    workbook(tmp_path / "a.xlsx", rows)
    sheet = read_xlsx("csiq", tmp_path / "a.xlsx", ("image", "dmos"), sheet="All_by_Image")
    assert sheet.text("image") == ["1600", "boston"]
    assert sheet.numbers_of("dmos", 0, 1) == [0.5, 1.0]
    assert sheet.where(1) == "a.xlsx, row 6"


def test_formulas_are_never_evaluated(tmp_path):
    workbook(tmp_path / "a.xlsx", [["image", "score"], ["a.png", "=1+1"]])
    with pytest.raises(DataError, match="row 2: score is '', not a number"):
        read_xlsx("s", tmp_path / "a.xlsx", ("image", "score")).numbers_of("score")


def test_a_missing_column_and_a_missing_sheet_are_named(tmp_path):
    workbook(tmp_path / "a.xlsx", [["image", "mos"], ["a.png", 1]])
    with pytest.raises(DataError, match="no column score"):
        read_xlsx("s", tmp_path / "a.xlsx", ("image", "score"))
    with pytest.raises(DataError, match="no sheet 'labels'; its sheets are: all_by_image"):
        read_xlsx("s", tmp_path / "a.xlsx", ("image", "mos"), sheet="labels")


def rezipped(path, change):
    """Write a workbook anew with `change(name, bytes)` applied to each member."""
    out = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    path.write_bytes(out.getvalue())


def test_xml_entities_are_refused(tmp_path):
    workbook(tmp_path / "a.xlsx", [["image", "score"], ["a.png", 1]])
    laughs = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
    rezipped(tmp_path / "a.xlsx", lambda name, data: laughs + data if "sheet1" in name else data)
    with pytest.raises(DataError, match="declares XML entities"):
        read_xlsx("s", tmp_path / "a.xlsx", ("image", "score"))


def test_a_workbook_that_unpacks_to_a_bomb_is_refused(tmp_path):
    workbook(tmp_path / "a.xlsx", [["image", "score"], ["a.png", 1]])
    with zipfile.ZipFile(tmp_path / "a.xlsx", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/zeros.bin", bytes(65 << 20))
    with pytest.raises(DataError, match="unpacks to more than 64 MiB"):
        read_xlsx("s", tmp_path / "a.xlsx", ("image", "score"))


def test_a_csv_named_xlsx_is_no_workbook(tmp_path):
    (tmp_path / "a.xlsx").write_text("image,score\na.png,1\n")
    with pytest.raises(DataError, match="not an Excel workbook"):
        read_xlsx("s", tmp_path / "a.xlsx", ("image", "score"))
