"""The page on 127.0.0.1 while runs go on: only what changed is read again, and only what changed is sent."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bench.core.errors import StoreError, UsageError
from bench.core.progress import counted
from bench.records.results import Record, Results
from bench.records.store import Store
from bench.report.page.render import Ask, Page, make_page

HOST = "127.0.0.1"
PORT = 8642
Stamp = tuple[int, int]


@dataclass
class Watcher:
    """The records of a folder, of which only those are read again whose files have changed."""

    store: Store
    _stamps: dict[str, Stamp] = field(default_factory=dict)
    _records: dict[str, Record] = field(default_factory=dict)

    def look(self) -> bool:
        """Look at the folder; whether something has changed since the last look."""
        stamps = self._found()
        changed = {name for name, stamp in stamps.items() if self._stamps.get(name) != stamp}
        gone = set(self._stamps) - set(stamps)
        for name in changed | gone:
            if name.endswith(".json"):
                self._records.pop(name, None)
                if name in stamps:
                    self._read(name)
        first, self._stamps = not self._stamps, stamps
        return bool(changed or gone or first)

    def results(self) -> Results:
        """All sound records of the last look."""
        return Results(self._records.values())

    def _found(self) -> dict[str, Stamp]:
        """Records with what lies beside them, each with its size and time; a run that is not over has no record yet."""
        runs, stamps = self.store.runs, {}
        for entry in os.scandir(runs) if runs.is_dir() else ():
            if not entry.name.startswith(".") and entry.name.endswith((".json", ".jsonl", ".npz")):
                try:
                    known = entry.stat()
                except OSError:  # it went in this moment
                    continue
                stamps[entry.name] = known.st_mtime_ns, known.st_size
        return {name: stamp for name, stamp in stamps.items() if f"{name.partition('.')[0]}.json" in stamps}

    def _read(self, name: str) -> None:
        try:
            body = self.store.read(self.store.runs / name)
        except StoreError:
            return
        key = str(body["key"])
        self._records[name] = Record.from_dict(body, lambda: self.store.predictions(key))


@dataclass
class LivePage:
    """The page as it stands: made again when the folder has changed."""

    watcher: Watcher
    keep: Callable[[Results], Results]
    ask: Ask
    _page: Page | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def page(self) -> Page:
        """The page of what is in the folder now."""
        with self._lock:
            if self.watcher.look() or self._page is None:
                asked = replace(self.ask, pictures=self.ask.pictures.again(), live=True)
                self._page = make_page(self.keep(self.watcher.results()), asked)
            return self._page

    def news(self) -> dict[str, Any]:
        """A hash of each part of the page, and a word on how many runs there are."""
        parts = self.page().hashes()
        return {"parts": parts, "said": f"Live: {counted(len(self.watcher.results()), 'run')}"}


def server(live: LivePage, port: int) -> ThreadingHTTPServer:
    """A server of the page, on this machine only."""

    class Answer(BaseHTTPRequestHandler):
        """Answers three kinds of questions, of pages opened on this machine only."""

        def do_GET(self) -> None:
            """The page, the hashes of its parts, or one part."""
            if self.headers.get("Host", "").rpartition(":")[0] not in (HOST, "localhost"):
                return self._send(HTTPStatus.FORBIDDEN, "text/plain", "This page is for this machine only.")
            path = self.path.partition("?")[0]
            if path == "/":
                return self._send(HTTPStatus.OK, "text/html", live.page().html)
            if path == "/parts.json":
                return self._send(HTTPStatus.OK, "application/json", json.dumps(live.news()))
            part = live.page().parts.get(path.removeprefix("/part/")) if path.startswith("/part/") else None
            if part is None:
                return self._send(HTTPStatus.NOT_FOUND, "text/plain", "There is no such part.")
            return self._send(HTTPStatus.OK, "text/plain", part)

        def _send(self, status: HTTPStatus, kind: str, text: str) -> None:
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            try:
                self.wfile.write(data)
            except (BrokenPipeError, ConnectionResetError):  # the browser has gone elsewhere
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: a line every two seconds would bury everything else."""

    try:
        return ThreadingHTTPServer((HOST, port), Answer)
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(
            f"{HOST}:{port} cannot be served on ({why}): --port N takes another, 0 any that is free."
        ) from error
    except OverflowError:
        raise UsageError(f"--port {port}: ports go from 0 to 65535.") from None
