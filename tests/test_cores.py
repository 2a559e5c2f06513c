"""The cores that a process may use, where those are fewer than the machine's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from adiw_tune import cores
from adiw_tune.cores import usable_cores
from adiw_tune.search.request import runs_at_once
from adiw_tune.tasks.streamed import default_workers

V1 = {"cpu.cfs_quota_us": "{}\n", "cpu.cfs_period_us": "100000\n"}
V2 = {"cpu.max": "{} 100000\n"}


@pytest.fixture
def one_core() -> Iterator[None]:
    """This thread may run on one core alone, as of a job that asked for one."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux has affinities")
def test_a_process_that_may_use_one_core_counts_no_others(
    one_core: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ADIW_WORKERS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert (usable_cores(), default_workers(), runs_at_once(None)) == (1, 0, 1)


def make(tmp_path: Path, own: str, groups: dict[str, tuple[dict[str, str], str]]) -> list[float]:
    """Control groups on this disk as the system shows them, and what they grant."""
    (tmp_path / "own").write_text(own)
    for group, (files, quota) in groups.items():
        (tmp_path / "mounted" / group).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (tmp_path / "mounted" / group / name).write_text(text.format(quota))
    return sorted(cores._quotas(tmp_path / "mounted", tmp_path / "own"))


def test_quotas_of_the_process_s_control_group_and_of_those_above(tmp_path: Path) -> None:
    groups = {".": (V2, "max"), "pod": (V2, "350000"), "pod/box": (V2, "max")}
    assert make(tmp_path, "0::/pod/box\n", groups) == [3.5]


def test_quotas_of_version_1(tmp_path: Path) -> None:
    own = "5:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n0::/\n"
    groups = {"cpu": (V1, "-1"), "cpu/docker": (V1, "400000"), "cpu/docker/x": (V1, "150000")}
    assert make(tmp_path, own, groups) == [1.5, 4]


def test_a_container_that_sees_its_own_group_as_the_root(tmp_path: Path) -> None:
    assert make(tmp_path, "0::/kubepods/pod7\n", {".": (V2, "200000")}) == [2]


def test_no_control_groups_grant_all(tmp_path: Path) -> None:
    assert make(tmp_path, "", {}) == []
    assert list(cores._quotas(tmp_path, tmp_path / "none")) == []


@pytest.mark.parametrize(("quotas", "granted"), [([0.4], 1), ([1.9, 7], 1), ([], 6), ([100], 6)])
def test_a_quota_counts_down_to_whole_cores(
    quotas: list[float], granted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "_quotas", lambda *_: quotas)
    monkeypatch.setattr(cores, "_affinity", lambda: 6)
    assert usable_cores() == granted
