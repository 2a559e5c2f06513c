"""One point of a dial, measured in processes that end with it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory, TemporaryFile
from threading import Thread
from typing import IO, Any

from adiw_tune.scaling.dial import Point
from adiw_tune.scaling.worker import Job, Measured, Tell

# -P: what lies in the working directory is not imported, as in the command itself.
_COMMAND = (sys.executable, "-P", "-m", "adiw_tune.scaling.worker")
# Workers of one machine meet on loopback, where nobody else can join them.
_LOOPBACK = "lo" if sys.platform == "linux" else "lo0"
_ENVIRONMENT = {"GLOO_SOCKET_IFNAME": _LOOPBACK, "NCCL_SOCKET_IFNAME": _LOOPBACK}

_Told = SimpleQueue[tuple[int, dict[str, Any]]]


@dataclass(frozen=True)
class Failed:
    """Why a point came to nothing, in one line."""

    reason: str


def measure_point(
    point: Point,
    seeds: int,
    metric: str,
    device: str,
    data_dir: Path | None,
    plain_s: float | None,
    tell: Tell,
) -> Measured | Failed:
    """Measure ``point`` in a process of its own, or one for each worker.

    Their memory is the point's alone, and they crash alone.

    Args:
        point: what to run.
        seeds: over how many, one after the other.
        metric: name of what is told of how good it is.
        device: cpu or cuda, of which each worker has one.
        data_dir: where to look for data first.
        plain_s: of a plain step, where that is known; None measures it.
        tell: called with seed, epoch and the metric's value after each epoch.
    """
    with TemporaryDirectory(prefix="adiw-scale-") as folder:
        jobs = [
            Job(
                config=point.config.as_dict(),
                seeds=seeds,
                metric=metric,
                train_rows=point.train_rows,
                device=device,
                data_dir=str(data_dir) if data_dir else None,
                plain_s=plain_s,
                rank=rank,
                workers=point.workers,
                meeting=f"{folder}/meeting",
            )
            for rank in range(point.workers)
        ]
        with _running(jobs) as told:
            return _outcome(told, point.workers, tell)


def _outcome(told: _Told, workers: int, tell: Tell) -> Measured | Failed:
    """What the first worker measured once all have, or what became of the first that failed."""
    measured: dict[int, Measured] = {}
    while len(measured) < workers:
        rank, message = told.get()
        if "measured" in message:
            measured[rank] = Measured(**message["measured"])
        elif "failed" not in message:
            if rank == 0:
                tell(message)
        elif rank not in measured:
            return Failed(message["failed"])
    peaks = [one.peak_memory_bytes for one in measured.values() if one.peak_memory_bytes]
    return replace(measured[0], peak_memory_bytes=max(peaks, default=None))


@contextmanager
def _running(jobs: Sequence[Job]) -> Iterator[_Told]:
    """The jobs' processes and what they tell; nothing that they started outlives the block."""
    told = _Told()
    with ExitStack() as at_the_end:
        for job in jobs:
            printed = at_the_end.enter_context(TemporaryFile())
            process = at_the_end.enter_context(
                subprocess.Popen(
                    [*_COMMAND, job.text()],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=printed,
                    env=os.environ | _ENVIRONMENT,
                    start_new_session=True,  # Ctrl-C is for the command, which then ends it
                )
            )
            listener = Thread(target=_listen, args=(process, job.rank, printed, told))
            listener.start()
            at_the_end.callback(listener.join)
            at_the_end.callback(_kill, process)
        yield told


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _listen(process: subprocess.Popen[bytes], rank: int, printed: IO[bytes], told: _Told) -> None:
    """Pass on what a process tells, and at last that it has ended."""
    assert process.stdout is not None
    for line in process.stdout:
        told.put((rank, json.loads(line)))
    told.put((rank, {"failed": _why_it_ended(process.wait(), printed)}))


def _why_it_ended(code: int, printed: IO[bytes]) -> str:
    if code == -signal.SIGKILL:
        return "killed, as the system does where memory runs out"
    printed.seek(0)
    lines = [line.strip() for line in printed.read().decode(errors="replace").splitlines()]
    last = next(filter(None, reversed(lines)), "it said nothing")
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"its process ended by {how}: {last[:300]}"
