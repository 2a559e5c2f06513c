"""Checkpoints that are damaged: the one before is gone on from, or the run begins anew."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from adiw_tune.record.record import SearchRecord
from adiw_tune.search.on_ray.trainable import _gone_on, _saved
from adiw_tune.search.programme import Begin
from adiw_tune.search.winner import winning_run
from adiw_tune.training import Peers, TrainingRun, TrialConfig
from adiw_tune.training.saving import DamagedCheckpointError, load_checkpoint
from tests.search.made_up import Story, settings

CONFIG = TrialConfig(epochs=3, method="erm")
OTHER_NETWORK = torch.nn.Linear(2, 2).state_dict()


def packed(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def unpacked(content: bytes) -> Any:
    return torch.load(io.BytesIO(content), weights_only=True)


@pytest.fixture(scope="module")
def saved() -> list[bytes]:
    """Checkpoints of a run after 0, 1, 2 and 3 epochs."""
    run = TrainingRun(CONFIG)
    states = [packed(run.state_dict())]
    while not run.finished:
        run.run_epoch()
        states.append(packed(run.state_dict()))
    return states


def numbers(run: TrainingRun) -> tuple[int, float, float]:
    """Where it comes to at its end."""
    while not run.finished:
        run.run_epoch()
    report = run.report()
    return report.epoch, report.metrics["accuracy"], report.loss


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "truncated": lambda whole: whole[: len(whole) // 2],
    "zeros": lambda whole: b"\0" * len(whole),
    "one bit": lambda whole: (
        whole[: (n := len(whole) // 2)] + bytes([whole[n] ^ 1]) + whole[n + 1 :]
    ),
    "text": lambda whole: b"no checkpoint\n",
    "code": lambda whole: packed(Path("a path is pickled by a call")),
    "another type": lambda whole: packed([1.0]),
    "fields missing": lambda whole: packed({"epoch": 1}),
    "another network": lambda whole: packed({**unpacked(whole), "network": OTHER_NETWORK}),
    "too far": lambda whole: packed({**unpacked(whole), "epoch": 9}),
    "no epoch": lambda whole: packed({**unpacked(whole), "epoch": "two"}),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_of_any_kind_is_told_in_one_line(saved: list[bytes], damage: str) -> None:
    with pytest.raises(DamagedCheckpointError) as told:
        load_checkpoint(TrainingRun(CONFIG), DAMAGE[damage](saved[2]))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("left", [[2, 1], [2], []], ids=str)
def test_a_run_goes_on_from_the_newest_that_is_whole_or_begins_anew(
    saved: list[bytes], left: list[int]
) -> None:
    def read(epoch: int) -> bytes:
        if epoch == 2:
            return DAMAGE["truncated"](saved[2])
        return saved[epoch]

    def lost() -> bytes:
        raise OSError("the disk cannot be read")

    reads = [lost, *(partial(read, epoch) for epoch in left)]
    run = _gone_on(lambda: TrainingRun(CONFIG), reads, Peers())
    assert run.epoch == (1 if 1 in left else 0)
    through = TrainingRun(CONFIG)
    load_checkpoint(through, saved[3])
    assert numbers(run) == numbers(through), "as one that was never stopped"


class Kept(Story):
    """The record of a search whose winner has been trained again, with its checkpoints."""

    def __init__(self, folder: Path, saved: list[bytes]) -> None:
        (folder / "space.py").write_text("def space(trial):\n    return {}\n")
        self.record = SearchRecord.create(folder, settings(), folder / "space.py")
        super().__init__(self.record.folder)
        config = CONFIG.as_dict()
        self.begins(Begin("t0", 0, "search", None, config))
        self.ends("t0")
        self.begins(Begin("t0-winner", 0, "winner", "t0", config))
        for trial, epochs in (("t0", (3,)), ("t0-winner", (2, 3))):
            for epoch in epochs:
                file = self.file(trial, epoch)
                file.parent.mkdir(parents=True)
                file.write_bytes(saved[epoch])
                path = f"0/{trial}/{epoch}"
                self.log.append("checkpoint", trial=trial, epoch=epoch, path=path)
        self.ends("t0-winner")

    def file(self, trial: str, epoch: int) -> Path:
        return self.record.folder / "ray" / "0" / trial / str(epoch) / "run.pt"


@pytest.fixture
def kept(tmp_path: Path, saved: list[bytes]) -> Kept:
    return Kept(tmp_path, saved)


def won(kept: Kept) -> tuple[str | None, list[str]]:
    """Whose network is taken, and what is told."""
    told: list[str] = []
    found = winning_run(kept.record, kept.history(), "t0", told.append)
    assert found is None or found[1].finished
    return found and found[0], told


def test_a_winner_that_is_damaged_is_told_and_the_trial_itself_taken(kept: Kept) -> None:
    assert won(kept) == ("t0-winner", [])
    file = kept.file("t0-winner", 3)
    file.write_bytes(b"")
    trial, (line,) = won(kept)
    assert trial == "t0"
    assert line.startswith(f"checkpoint '{file}' of trial t0-winner is damaged (")
    assert line.endswith(f"); {kept.record.train_command()} trains its network again")
    kept.file("t0", 3).write_bytes(b"")
    trial, lines = won(kept)
    assert trial is None
    assert len(lines) == 2


@pytest.mark.parametrize("instead", ["nothing", "directory"])
def test_one_that_is_gone_is_passed_over(kept: Kept, instead: str) -> None:
    kept.file("t0-winner", 3).unlink()
    if instead == "directory":
        kept.file("t0-winner", 3).mkdir()
    assert won(kept) == ("t0", [])


def test_a_run_of_a_search_is_given_its_last_two_checkpoints(kept: Kept) -> None:
    run = kept.history().runs["t0-winner"]
    assert run.checkpoints == ["0/t0-winner/3", "0/t0-winner/2"]
    read = [one() for one in _saved(kept.record.checkpoints, run.checkpoints)]
    assert read == [kept.file("t0-winner", epoch).read_bytes() for epoch in (3, 2)]
    shutil.rmtree(kept.file("t0-winner", 3).parent)
    assert len(_saved(kept.record.checkpoints, run.checkpoints)) == 1
