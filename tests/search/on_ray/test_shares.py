"""What a run is given of a machine, as it follows from the log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adiw_tune.search.on_ray.shares import Machines, Share, may_grow, missing, share_of
from adiw_tune.search.programme import Begin
from adiw_tune.training.memory import CONTEXT_BYTES
from tests.search.made_up import Story, settings

GIB = 2**30
ONE_GPU = Machines(cpus=8, gpus=1, all_cpus=8, all_gpus=1)
NO_GPU = Machines(cpus=8, gpus=0, all_cpus=8, all_gpus=0)
TWO = Machines(cpus=4, gpus=1, all_cpus=8, all_gpus=2)


class Told(Story):
    """A search whose runs were seen to need memory, and to lack it."""

    def needed(
        self,
        trial: int,
        memory_bytes: int | None,
        device_bytes: int | None,
        context_bytes: int | None = None,
        device: str = "d",
    ) -> None:
        """A trial that has been set up."""
        self.begin(f"t{trial}")
        self.log.append(
            "setup",
            trial=f"t{trial}",
            device=device,
            splits={},
            plain_s=1e-3,
            ratio=2.0,
            speed=1.0,
            memory_bytes=memory_bytes,
            device_bytes=device_bytes,
            context_bytes=context_bytes,
        )

    def begin(self, trial: str, of: str | None = None, **changes: Any) -> None:
        config = {"task": "digits", "network": None, "precision": "float32", "batch_size": 256}
        kind = "retime" if of else "search"
        self.begins(Begin(trial, 0, kind, of, {**config, **changes}))

    def share(self, trial: str, machines: Machines, **asked: Any) -> Share:
        history = self.history()
        return share_of(history.runs[trial], history, settings(**asked), machines)

    def may_grow(self, trial: str, machines: Machines, **asked: Any) -> bool:
        history = self.history()
        return may_grow(history.runs[trial], history, settings(**asked), machines)


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def test_without_a_gpu_a_run_has_the_cores_asked_for(told: Told) -> None:
    told.begin("t0")
    assert told.share("t0", NO_GPU, cpus_per_trial=3) == Share(3, 0.0)


def test_the_first_run_has_a_whole_gpu(told: Told) -> None:
    told.begin("t0")
    assert told.share("t0", ONE_GPU) == Share(1, 1.0)
    assert told.share("t0", ONE_GPU).memory_fraction(80 * GIB) == 1.0


@pytest.mark.parametrize(
    ("need_gib", "gpu_gib", "share"),
    # 1.3 times the need and the process's own context, 640 MiB: 1/k must hold both.
    [
        *((1, 80, 1 / 8), (8, 80, 1 / 7), (10, 80, 1 / 5), (25, 80, 1 / 2), (31, 80, 1.0)),
        *((1, 16, 1 / 8), (2, 16, 1 / 4), (5, 16, 1 / 2), (6, 16, 1.0)),
    ],
)
def test_those_after_it_have_a_share_that_holds_what_it_needed(
    told: Told, need_gib: int, gpu_gib: int, share: float
) -> None:
    told.needed(0, need_gib * GIB, gpu_gib * GIB)
    told.begin("t1")
    given = told.share("t1", ONE_GPU)
    assert given == Share(1, pytest.approx(share))
    fraction = given.memory_fraction(gpu_gib * GIB)
    if share == 1:
        assert fraction == 1
    else:
        assert fraction >= 1.3 * need_gib / gpu_gib
        # All of them together, contexts included, have no more than there is.
        assert fraction * gpu_gib * GIB + CONTEXT_BYTES == pytest.approx(share * gpu_gib * GIB)


def test_a_context_counts_as_much_as_processes_alone_were_seen_to_have(told: Told) -> None:
    told.needed(0, GIB, 16 * GIB, context_bytes=3 * GIB, device="a")
    told.begin("t9")
    assert told.share("t9", ONE_GPU) == Share(1, 1 / 3, context_bytes=3 * GIB)
    told.needed(1, GIB, 16 * GIB, context_bytes=2 * GIB, device="a")  # there was another's as well
    told.needed(2, GIB, 16 * GIB, context_bytes=GIB, device="b")
    told.needed(3, GIB, 16 * GIB)
    given = told.share("t9", ONE_GPU)
    assert given == Share(1, 1 / 4, context_bytes=2 * GIB)
    assert given.memory_fraction(16 * GIB) == (4 - 2) / 16


def test_a_share_that_a_context_fills_leaves_next_to_nothing() -> None:
    assert Share(1, 0.1).memory_fraction(4 * GIB) == 0.01


def test_what_a_run_needs_is_told_by_its_like_only(told: Told) -> None:
    told.needed(0, GIB, 80 * GIB)
    told.begin("t1", batch_size=4096)
    assert told.share("t1", ONE_GPU).gpus == 1.0


def test_the_need_that_counts_is_the_largest_seen(told: Told) -> None:
    told.needed(0, GIB, 80 * GIB)
    told.needed(1, 20 * GIB, 80 * GIB)
    told.begin("t2")
    assert told.share("t2", ONE_GPU).gpus == pytest.approx(1 / 3)


def test_a_run_on_a_processor_tells_nothing_of_a_gpus_memory(told: Told) -> None:
    told.needed(0, None, None)
    told.begin("t1")
    assert told.share("t1", ONE_GPU).gpus == 1.0


def test_a_share_that_is_asked_for_is_given(told: Told) -> None:
    told.needed(0, 70 * GIB, 80 * GIB)
    told.begin("t1")
    assert told.share("t1", ONE_GPU, gpus_per_trial=0.25) == Share(1, 0.25)
    two = told.share("t1", Machines(8, 4, 8, 4), gpus_per_trial=2.0)
    assert two.memory_fraction(80 * GIB) == 1.0


def test_each_of_several_workers_has_a_gpu_of_its_own(told: Told) -> None:
    told.needed(0, GIB, 80 * GIB)
    told.begin("t1")
    assert told.share("t1", ONE_GPU, workers_per_trial=2) == Share(1, 1, 2)


@pytest.mark.parametrize(
    ("asked", "machines", "first", "then"),
    [
        ({"gpus_per_trial": 0.25}, ONE_GPU, Share(1, 0.25), Share(1, 0.5)),
        ({"gpus_per_trial": 0.75}, ONE_GPU, Share(1, 0.75), Share(1, 1.0)),
        ({"cpus_per_trial": 3}, NO_GPU, Share(3, 0.0), Share(6, 0.0)),
        ({"cpus_per_trial": 6}, NO_GPU, Share(6, 0.0), Share(8, 0.0)),
        ({"cpus_per_trial": 3, "workers_per_trial": 2}, NO_GPU, Share(3, 0, 2), Share(4, 0, 2)),
    ],
)
def test_a_run_out_of_memory_has_twice_as_much_once(
    told: Told, asked: dict[str, Any], machines: Machines, first: Share, then: Share
) -> None:
    told.begin("t0")
    assert told.share("t0", machines, **asked) == first
    assert told.may_grow("t0", machines, **asked)
    told.log.append("lost", trial="t0", why="memory", reason="out of memory")
    assert told.share("t0", machines, **asked) == then
    assert not told.may_grow("t0", machines, **asked)


@pytest.mark.parametrize(
    ("asked", "machines"),
    [
        ({"gpus_per_trial": 1.0}, ONE_GPU),
        ({"cpus_per_trial": 8}, NO_GPU),
        ({"cpus_per_trial": 4, "workers_per_trial": 2}, NO_GPU),
    ],
)
def test_what_has_all_that_there_is_cannot_have_more(
    told: Told, asked: dict[str, Any], machines: Machines
) -> None:
    told.begin("t0")
    assert not told.may_grow("t0", machines, **asked)


def test_what_repeats_a_run_that_lacked_memory_begins_with_more(told: Told) -> None:
    told.begin("t0")
    told.log.append("lost", trial="t0", why="memory", reason="out of memory")
    told.begin("t0-retime", of="t0")
    assert told.share("t0-retime", ONE_GPU, gpus_per_trial=0.25).gpus == 0.5


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({}, None),
        ({"cpus_per_trial": 4, "gpus_per_trial": 1.0, "workers_per_trial": 2}, None),
        ({"cpus_per_trial": 5}, "no machine of the cluster has 5 cores"),
        ({"gpus_per_trial": 2.0}, "no machine of the cluster has 2 GPUs"),
        (
            {"cpus_per_trial": 3, "workers_per_trial": 3, "gpus_per_trial": 0.0},
            "the cluster has 8 cores, and a trial takes 9",
        ),
        # One GPU each, whether a share was asked for or nothing.
        (
            {"gpus_per_trial": 0.25, "workers_per_trial": 3},
            "the cluster has 2 GPUs, and a trial takes 3",
        ),
        ({"workers_per_trial": 3}, "the cluster has 2 GPUs, and a trial takes 3"),
    ],
)
def test_what_there_is_not_is_told(asked: dict[str, Any], wanted: str | None) -> None:
    assert missing(settings(**asked), TWO) == wanted


def test_where_there_is_no_gpu_a_share_of_one_is_missing() -> None:
    assert missing(settings(gpus_per_trial=0.5), NO_GPU) == "no machine of the cluster has 0.5 GPU"
    assert missing(settings(workers_per_trial=8), NO_GPU) is None
