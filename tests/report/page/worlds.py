"""Made-up results for tests of the page: of the demo, of the papers' sets, and with names that try to break out."""

from __future__ import annotations

from dataclasses import replace

from bench.core.spec import Target
from bench.records.results import Record, Results
from tests.report.records import body_of, predictions, records_of
from tests.report.results import specs_of

THREE = "glia,lora,linear_probe"
EVIL_SET = "<script>window.broken=1</script>"
LONG_NAME = "my_lab_adapter_with_gating_v2_of_the_second_kind_and_more"
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


def odd() -> Results:
    """What is rare on one page: an oracle, a long name of a plugin that is not here, long hashes, a chosen epoch."""
    made = []
    for spec in specs_of("main,cross", "demo", f"{THREE},distortion_oracle", ["demo_a", "demo_b"], splits=3):
        spec = replace(spec, method=LONG_NAME) if spec.method == "linear_probe" else spec
        body = body_of(spec)
        body["data"]["train"] |= {"hash": "0123456789abcdef" * 4, "pixels": "fedcba9876543210" * 4}
        body["selection"] = {"rule": "val", "epoch": 1, "curve": [0.30, 0.55, 0.41, 0.35]}
        body["loss"] = [0.9, 0.6, 0.4, 0.3]
        made.append(Record.from_dict(body, lambda spec=spec: predictions(spec)))
    return Results(made)
