"""Made-up results for tests of the page: of the demo, of the papers' sets, and with names that try to break out."""

from __future__ import annotations

from dataclasses import replace

from bench.core.spec import Target
from bench.records.results import Record, Results
from tests.report.records import body_of, predictions, records_of
from tests.report.results import specs_of

THREE = "glia,lora,linear_probe"
EVIL_SET = "<script>window.broken=1</script>"
EVIL_PICTURE = "\"'><img src=x onerror=window.broken=1>.png"


def demo(splits: int = 3, **more: object) -> Results:
    """Three methods on two demo sets and across them."""
    return Results(records_of(specs_of("main,cross", "demo", THREE, ["demo_a", "demo_b"], splits=splits, **more)))


def paper(splits: int = 10) -> Results:
    """Three methods under the papers' preset: on two sets, across them, and with less to train on."""
    return Results(records_of(specs_of("main,cross,data_efficiency", "paper", THREE, ["koniq10k", "livec"], splits)))


def evil() -> Results:
    """A set, a picture and an error with names that would be markup if nobody escaped them."""
    made = []
    for spec in specs_of("main", "demo", THREE, ["demo_a"], splits=3):
        spec = replace(spec, train=EVIL_SET, tests=(Target.of(EVIL_SET),))
        arrays = predictions(spec)
        names = f"{EVIL_SET}:test/names"
        arrays[names] = arrays[names].astype("U60")
        arrays[names][:] = [f"{n}{EVIL_PICTURE}" for n in range(len(arrays[names]))]
        made.append(Record.from_dict(body_of(spec), lambda arrays=arrays: arrays))
    failed = replace(made[0].spec, split=2, source="all", tests=(Target.of("other", "all"),))
    made.append(Record.from_dict(body_of(failed, error=("RunError", "</script><b onclick='x'>no</b>"))))
    return Results(made)
