"""What all tests share: deterministic fuzzing, one thread, and no cache of the user's touched."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("steady")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path_factory):
    """The user's own cache is never read or written, unless a test asks for the shared one by name."""
    monkeypatch.setenv("GLIA_BENCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def no_width_asked_for(monkeypatch):
    """Workers of pytest-xdist are told their terminal's width in COLUMNS: what is printed must not depend on that."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def own_methods(monkeypatch):
    """What a test registers is forgotten after it."""
    from bench.core.registry import METHODS

    monkeypatch.setattr(METHODS, "_targets", dict(METHODS._table()))
    monkeypatch.setattr(METHODS, "_origin", dict(METHODS._origin))
