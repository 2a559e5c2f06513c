"""Ray started on this machine: where its files are, what it leaves, and that it can be killed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import psutil
import pytest

from adiw_tune.errors import UserError
from adiw_tune.search.on_ray.local import folder_for_ray
from tests.cli.helpers import Running, of_kind, read_events

SPACE = "def space(trial):\n    return {'epochs': 9000, 'batch_size': 64, 'method': 'erm'}\n"
SEARCH = ("search", "space.py", "--name", "s", "--trials", "1", "--seeds", "0")


def test_a_search_far_down_on_one_core_whose_raylet_is_killed(tmp_path: Path) -> None:
    """Slurm's temporary folders have longer paths than a socket may have."""
    deep = tmp_path / ("scratch" * 10)
    deep.mkdir()
    (tmp_path / "space.py").write_text(SPACE)
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})  # which is inherited
    try:
        search = Running(tmp_path, *SEARCH, cluster={"TMPDIR": str(deep), "RAY_TMPDIR": ""})
    finally:
        os.sched_setaffinity(0, cores)
    with search:
        search.wait_until(lambda: bool(of_kind(read_events(tmp_path), "epoch")))
        (raylet,) = (
            process
            for process in psutil.Process(search.process.pid).children(recursive=True)
            if process.name() == "raylet"
        )
        words = dict(one.partition("=")[::2] for one in raylet.cmdline())
        raylet.kill()
        assert search.ended() == 1
    assert "CPU,1," in f"{words['--static_resource_list']},"
    assert search.stderr() == (
        "error: Ray on this machine is gone (its raylet was killed, perhaps because memory ran "
        "out); what was recorded is kept; go on by: adiw-tune resume s\n"
    )
    folder = Path(words["--temp_dir"])
    assert folder.name.startswith("ray-")
    assert not folder.exists()


def test_ray_s_files_are_where_they_are_wanted_if_a_socket_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        monkeypatch.setenv("RAY_TMPDIR", short)
        with folder_for_ray() as folder:
            assert folder.parent == Path(short)
            longest = folder / "session_2026-01-31_23-59-59_123456_4194304/sockets/plasma_store"
            assert len(str(longest)) < 107
        assert not folder.exists()
        # The longest path that is taken, and one byte more.
        for length, kept in ((29, True), (30, False)):
            place = Path(short) / ("x" * (length - len(short) - 1))
            place.mkdir()
            monkeypatch.setenv("RAY_TMPDIR", str(place))
            with folder_for_ray() as folder:
                assert (folder.parent == place) is kept


def test_no_place_for_ray_s_files_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/proc")
    monkeypatch.setattr("adiw_tune.search.on_ray.local._ELSEWHERE", ("/none",))
    with pytest.raises(UserError, match=r"tried /proc, /none: .*: set RAY_TMPDIR to a directory"):
        folder_for_ray().__enter__()


@pytest.mark.slow
def test_a_start_that_took_longer_than_ray_waits_is_tried_once_more(tmp_path: Path) -> None:
    (tmp_path / "space.py").write_text(SPACE.replace("9000", "1"))

    def raylets() -> list[psutil.Process]:
        below = psutil.Process(search.process.pid).children(recursive=True)
        return [process for process in below if process.name() == "raylet"]

    with Running(tmp_path, *SEARCH) as search:
        search.wait_until(lambda: bool(raylets()))
        (first,) = raylets()
        first.suspend()  # as on a machine that is too busy; Ray gives up after 30 s
        search.wait_until(lambda: any(one != first for one in raylets()))
        assert search.ended() == 0
    assert of_kind(read_events(tmp_path), "end")[0]["status"] == "finished"
