"""The page while runs go on: on this machine alone, read again where something changed, sent where it changed."""

import http.client
import json
import re
import threading
from contextlib import contextmanager
from html import unescape

import pytest

from bench.records.results import Results
from bench.records.store import Store
from bench.report.page.render import Ask, make_page
from bench.report.page.serve import HOST, LivePage, Watcher, server
from tests.report.records import body_of, predictions
from tests.report.results import specs_of

SPECS = specs_of("main", "demo", "glia,lora", ["demo_a"], splits=3)


def write(store, specs):
    for spec in specs:
        store.write(body_of(spec), predictions(spec))


@contextmanager
def served(store):
    live = LivePage(Watcher(store), lambda results: results, Ask())
    with server(live, 0) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        try:
            yield running.server_address[1]
        finally:
            running.shutdown()


def ask(port, path, host=""):
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    connection.request("GET", path, headers={"Host": host or f"{HOST}:{port}"})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


def test_a_folder_without_runs_is_served_and_shows_them_as_they_come(store):
    with served(store) as port:
        status, html = ask(port, "/")
        assert (status, "Nothing to compare yet" in html) == (200, True)
        before = json.loads(ask(port, "/parts.json")[1])["parts"]
        write(store, SPECS)
        news = json.loads(ask(port, "/parts.json")[1])
        changed = {name for name in before if before[name] != news["parts"][name]}
        assert {"front", "explorer", "runs", "sets"} <= changed
        assert "published" not in changed
        assert news["said"] == "Live: 6 runs"
        assert "GLIA" in ask(port, "/part/front")[1]


def test_the_page_knows_of_which_parts_it_was_made_and_a_file_of_none(store):
    write(store, SPECS[:4])
    with served(store) as port:
        html = ask(port, "/")[1]
        (known,) = re.findall(r'<body data-live="([^"]*)">', html)
        write(store, SPECS[4:])
        news = json.loads(ask(port, "/parts.json")[1])["parts"]
    known = json.loads(unescape(known))
    assert known.keys() == news.keys()
    assert {"front", "explorer", "runs"} <= {name for name in news if news[name] != known[name]}
    assert "<body>" in make_page(Results.read(store)).html


def test_nothing_has_changed_where_nothing_was_written(store):
    write(store, SPECS[:2])
    with served(store) as port:
        assert ask(port, "/parts.json") == ask(port, "/parts.json")


def test_only_records_that_changed_are_read_again(store, monkeypatch):
    write(store, SPECS[:4])
    watcher, read = Watcher(store), []
    whole = Store.read
    monkeypatch.setattr(Store, "read", lambda self, path: read.append(path.name) or whole(self, path))
    assert watcher.look()
    assert len(read) == 4
    assert not watcher.look()
    write(store, SPECS[4:5])
    assert watcher.look()
    assert read[4:] == [f"{SPECS[4].key}.json"]
    (store.runs / f"{SPECS[0].key}.json").unlink()
    assert watcher.look()
    assert len(watcher.results()) == 4


def test_a_record_that_is_half_written_or_damaged_is_left_out(store):
    write(store, SPECS[:2])
    (store.runs / "torn.json").write_text("{")
    watcher = Watcher(store)
    watcher.look()
    assert len(watcher.results()) == 2


def test_pages_of_other_places_are_refused_and_no_file_is_given_away(store):
    write(store, SPECS[:2])
    with served(store) as port:
        assert ask(port, "/", host="evil.example:80")[0] == 403
        for path in ("/etc/passwd", "/../../etc/passwd", "/part/nothing", "/runs", f"/runs/{SPECS[0].key}.json"):
            assert ask(port, path)[0] == 404


def test_a_port_that_is_taken_is_refused_in_a_sentence(store):
    from bench.core.errors import UsageError

    with served(store) as port, pytest.raises(UsageError, match="--port N takes another"):
        server(LivePage(Watcher(store), lambda results: results, Ask()), port)
