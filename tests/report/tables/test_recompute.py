"""The numbers of a table, recomputed from the stored predictions by pandas and without the project's table code."""

import io

import numpy as np
import pandas as pd
import pytest

from bench.records.results import Results
from bench.records.store import Store
from bench.report.tables.write import make_tables
from tests.report.records import body_of, predictions
from tests.report.results import specs_of


def test_ten_lines_of_pandas_give_the_numbers_of_the_table(tmp_path):
    store = Store(tmp_path)
    for spec in specs_of("main,cross", "demo", "glia,linear_probe"):
        store.write(body_of(spec), predictions(spec))
    make_tables(Results.read(store), ["main", "cross"], formats=["csv"], out=tmp_path / "tables")

    rows = []
    for path in (tmp_path / "runs").glob("*.json"):
        spec = pd.read_json(io.StringIO(path.read_text()), typ="series")["spec"]
        with np.load(path.with_suffix(".npz")) as stored:
            for test in spec["tests"]:
                scores = pd.DataFrame({k: stored[f"{test}/{k}"] for k in ("human", "predicted")})
                rows.append((spec["method"], spec["train"], test, scores.corr("spearman").iloc[0, 1]))
    runs = pd.DataFrame(rows, columns=["method", "train", "test", "median"])
    ours = runs.groupby(["method", "train", "test"])["median"].median()

    for name in ("main_demo", "cross_demo"):
        table = pd.read_csv(tmp_path / "tables" / f"{name}.csv").query("metric == 'srcc'")
        printed = table.set_index(["method", "train", "test"])["median"]
        assert len(printed) > 0
        assert printed.to_dict() == pytest.approx(ours.loc[printed.index].to_dict(), abs=1e-6)
