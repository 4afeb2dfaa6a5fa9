"""The folder to send to a colleague, as one zip: the page, and the records and predictions that it was made from."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

from bench.core.files import atomic
from bench.records.results import Record
from bench.records.store import Store

FOLDER = "glia-bench-report"
DATE = (1980, 1, 1, 0, 0, 0)
READ_ME = """A report of glia-bench. Open index.html in a browser; it needs nothing else.

runs/ holds the records it was made from, one JSON file per run, with the predictions beside it. Whoever has glia-bench
looks at them in its own way:

    bench table --results glia-bench-report
    bench merge glia-bench-report
"""


def write_zip(path: Path, page: str, records: Iterable[Record], store: Store) -> int:
    """Write the zip; how many runs are in it. The same page and records give the same bytes."""
    count = 0
    with atomic(path) as handle, zipfile.ZipFile(handle, "w") as archive:
        _add(archive, "index.html", page.encode())
        _add(archive, "README.txt", READ_ME.encode())
        for record in records:
            count += 1
            for file in files_of(record, store):
                _add(archive, f"runs/{file.name}", file.read_bytes(), packed=file.suffix == ".npz")
    return count


def files_of(record: Record, store: Store) -> list[Path]:
    """What a run has written: its record, its predictions, the steps it noted; those that are there."""
    beside = [store.runs / f"{record.key}.json", store.runs / f"{record.key}.npz", store.log_path(record.key)]
    return [path for path in beside if path.is_file()]


def _add(archive: zipfile.ZipFile, name: str, data: bytes, *, packed: bool = False) -> None:
    """Add a file without the time of day; what is packed already is not packed again."""
    entry = zipfile.ZipInfo(f"{FOLDER}/{name}", date_time=DATE)
    entry.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, data)
