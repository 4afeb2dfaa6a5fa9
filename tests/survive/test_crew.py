"""How many cores a plan may use: those of the machine, or a container's share of them."""

from bench.execution.jobs import crew as crews


def test_a_container_s_share_of_the_processor_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(crews, "usable_cores", lambda: 64)
    monkeypatch.setattr(crews, "CGROUP", tmp_path)
    assert crews._cores() == 64
    for text, cores in (("max 100000", 64), ("250000 100000", 3)):
        (tmp_path / "cpu.max").write_text(text)
        assert crews._cores() == cores


def test_a_container_s_share_counts_under_the_first_version_of_cgroups_too(tmp_path, monkeypatch):
    monkeypatch.setattr(crews, "usable_cores", lambda: 64)
    monkeypatch.setattr(crews, "CGROUP", tmp_path)
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    for quota, cores in (("-1", 64), ("250000", 3)):
        (tmp_path / "cpu/cpu.cfs_quota_us").write_text(f"{quota}\n")
        assert crews._cores() == cores
