"""Turns on a device, by processes that work and processes that measure."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch

from adiw_tune.errors import UserError
from adiw_tune.search.on_ray import exclusive
from adiw_tune.search.on_ray.exclusive import DeviceTurn, device_turn, device_turns

CPU = torch.device("cpu")
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["adiw_tune.search.on_ray.exclusive"]
)  # torch, once for all of them


class Process:
    """What the processes of these tests do, each thing a line of one log.

    A line is appended as a whole, so the order of the lines is that of what happened.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self.turn = DeviceTurn(CPU, folder)

    def log(self, what: str) -> None:
        with (self.folder / "log").open("a") as file:
            file.write(f"{self.name} {what}\n")

    def work(self, makes_room: bool = True) -> None:
        """Until a file says stop, without leaving the room of its own accord."""
        with self.turn.shared():
            self.log("in")
            while not (self.folder / "stop").exists():
                self.log("step")
                time.sleep(0.001)
                if makes_room:
                    self.turn.make_room()
            self.log("out")

    def measure(self, seconds: float = 0.05) -> None:
        with self.turn.exclusive():
            self.log("alone")
            time.sleep(seconds)
            self.log("done")

    def measure_three_times(self) -> None:
        for _ in range(3):
            self.measure()

    def measure_at_work(self) -> None:
        for _ in range(3):
            with self.turn.shared():
                self.log("step")
                self.measure()
                self.log("step")

    def measure_for_ever(self) -> None:
        self.measure(600)

    def work_for_itself(self) -> None:
        self.work(makes_room=False)


Start = Callable[[Callable[[Process], None], str], BaseProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[BaseProcess] = []

    def run(what: Callable[[Process], None], name: str) -> BaseProcess:
        process = PROCESSES.Process(target=what, args=(Process(tmp_path, name),))
        process.start()
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.join()


def exit_codes(processes: list[BaseProcess]) -> list[int | None]:
    for process in processes:
        process.join(60)
    return [process.exitcode for process in processes]


def lines(folder: Path) -> list[str]:
    log = folder / "log"
    return log.read_text().splitlines() if log.exists() else []


def wait_for(folder: Path, condition: Callable[[list[str]], bool]) -> None:
    for _ in range(6000):
        if condition(lines(folder)):
            return
        time.sleep(0.01)
    pytest.fail(f"it did not come to that: {lines(folder)[-20:]}")


def assert_alone_is_alone(log: list[str]) -> int:
    """Between a process's ``alone`` and its ``done`` there is no other line; how often."""
    times = 0
    for line, following in itertools.pairwise(log):
        name, what = line.split()
        if what == "alone":
            assert following == f"{name} done"
            times += 1
    return times


def test_one_who_measures_is_alone_and_gets_its_turn_among_those_at_work(
    tmp_path: Path, start: Start
) -> None:
    workers = [start(Process.work, f"worker{i}") for i in range(3)]
    wait_for(tmp_path, lambda log: sum(line.endswith(" in") for line in log) == 3)
    # The room is never empty of its own accord, and yet:
    measurers = [start(Process.measure_three_times, f"measurer{i}") for i in range(2)]
    assert exit_codes(measurers) == [0, 0]
    count = len(lines(tmp_path))
    wait_for(tmp_path, lambda log: {f"worker{i} step" for i in range(3)} <= set(log[count:]))
    (tmp_path / "stop").touch()
    assert exit_codes(workers) == [0, 0, 0]
    log = lines(tmp_path)
    assert assert_alone_is_alone(log) == 6
    assert sum(line.endswith(" out") for line in log) == 3


def test_trials_that_measure_while_they_work_do_not_wait_for_each_other_for_ever(
    tmp_path: Path, start: Start
) -> None:
    trials = [start(Process.measure_at_work, f"trial{i}") for i in range(3)]
    assert exit_codes(trials) == [0, 0, 0]
    assert assert_alone_is_alone(lines(tmp_path)) == 9


@pytest.mark.parametrize("killed_while", ["measuring", "waiting"])
def test_the_death_of_one_who_measures_frees_the_others(
    tmp_path: Path, start: Start, killed_while: str
) -> None:
    turn = DeviceTurn(CPU, tmp_path)
    if killed_while == "measuring":
        holder = start(Process.measure_for_ever, "holder")
        wait_for(tmp_path, lambda log: log == ["holder alone"])
        start(Process.work, "worker")
        holder.kill()
    else:
        with turn.shared():
            holder = start(Process.measure_for_ever, "holder")
            for _ in range(6000):
                if not turn._gate_is_open():
                    break
                time.sleep(0.01)
            assert not turn._gate_is_open()
            start(Process.work, "worker")
            assert lines(tmp_path) == []
            holder.kill()
            holder.join()
            turn.make_room()
    wait_for(tmp_path, lambda log: "worker step" in log)
    assert "holder done" not in lines(tmp_path)


def test_the_death_of_one_at_work_frees_one_who_measures(tmp_path: Path, start: Start) -> None:
    worker = start(Process.work_for_itself, "worker")
    wait_for(tmp_path, lambda log: "worker in" in log)
    measurer = start(Process.measure_three_times, "measurer")
    time.sleep(0.1)
    assert not any(line.startswith("measurer") for line in lines(tmp_path))
    worker.kill()
    assert exit_codes([measurer]) == [0]


def test_turns_within_turns_do_not_wait_for_themselves(tmp_path: Path) -> None:
    turn, other = DeviceTurn(CPU, tmp_path), DeviceTurn(CPU, tmp_path)
    with turn.shared(), turn.exclusive(), turn.shared(), turn.exclusive():
        turn.make_room()
        assert turn._held == "exclusive"
    with turn.shared(), turn.shared(), other.shared():  # shared again, after what was within it
        other.make_room()
    with other.exclusive():
        pass


def test_a_turn_ends_with_an_error_in_it(tmp_path: Path) -> None:
    turn = DeviceTurn(CPU, tmp_path)
    for held in (turn.shared, turn.exclusive):
        with pytest.raises(ZeroDivisionError), held():
            raise ZeroDivisionError
        with DeviceTurn(CPU, tmp_path).exclusive():
            pass


def test_a_process_has_one_turn_on_a_device_in_a_folder_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADIW_LOCKS", str(tmp_path))
    turn = device_turn(CPU)
    assert device_turn(torch.device("cpu")) is turn
    before = os.umask(0o077)
    try:
        with turn.shared():
            files = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert files == {"cpu.gate": 0o666, "cpu.room": 0o666}  # for every user whom the folder lets in


def test_wherever_a_job_has_its_temporary_files_its_locks_are_where_others_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ADIW_LOCKS", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with DeviceTurn(CPU).shared():
        folder = Path(f"/tmp/adiw-tune-{os.getuid()}")
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "cpu.gate").exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("named", ["", "there"])
def test_locks_that_cannot_be_had_are_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    (tmp_path / "locks").mkdir()
    (tmp_path / "there").touch()
    (tmp_path / "locks" / "cpu.gate").symlink_to(tmp_path / "there")
    monkeypatch.setenv("ADIW_LOCKS", str(tmp_path / (named or "locks")))
    with pytest.raises(UserError, match="set ADIW_LOCKS to a directory on this machine") as raised:
        DeviceTurn(CPU).shared().__enter__()
    assert str(tmp_path / (named or "locks/cpu.gate")) in str(raised.value)


def test_a_folder_that_another_user_made_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path("/tmp/adiw-tune-4242")
    folder.mkdir()
    monkeypatch.delenv("ADIW_LOCKS", raising=False)
    monkeypatch.setattr("os.getuid", lambda: 4242)
    try:
        with pytest.raises(UserError, match=r"adiw-tune-4242' belongs to another user: set ADIW_L"):
            DeviceTurn(CPU).shared().__enter__()
    finally:
        folder.rmdir()


def test_several_devices_are_entered_in_one_order_whatever_their_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpus = [torch.device("cuda", number) for number in range(3)]
    orders = []
    for uuids in ("bca", "acb"):  # by two CUDA_VISIBLE_DEVICES
        names = dict(zip(gpus, uuids, strict=True))
        monkeypatch.setattr(exclusive, "_name", lambda device, names=names: names[device])
        orders.append([names[turn._device] for turn in device_turns(gpus)])
    assert orders == [["a", "b", "c"]] * 2


def test_room_that_is_made_is_told_in_the_seconds_it_took(tmp_path: Path, start: Start) -> None:
    turn = DeviceTurn(CPU, tmp_path)
    assert turn.make_room() == 0
    with turn.shared():
        assert turn.make_room() == 0
        start(Process.measure, "measurer")
        waits = []
        while not lines(tmp_path):
            waits.append(turn.make_room())
        assert 0.05 <= max(waits) == sum(waits)  # for as long as the other measured
        assert turn._held == "shared"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_cuda_what_is_queued_there_is_no_time_of_waiting(tmp_path: Path) -> None:
    device = torch.device("cuda")
    turn, other = (DeviceTurn(device, tmp_path) for _ in range(2))
    torch.ones(1, device=device)

    def measure() -> None:
        with other.exclusive():
            pass

    with turn.shared():
        thread = threading.Thread(target=measure)
        thread.start()
        while turn._gate_is_open():
            time.sleep(0.001)
        torch.cuda._sleep(2**31)  # about a second
        begun = time.perf_counter()
        waited = turn.make_room()
        took = time.perf_counter() - begun
        thread.join()
    assert took > 0.5
    assert waited < took / 2
