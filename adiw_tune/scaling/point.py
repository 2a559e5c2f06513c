"""One point of a dial, measured in a process that ends with it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from adiw_tune.scaling.dial import Point
from adiw_tune.scaling.worker import Job, Measured, Tell


@dataclass(frozen=True)
class Failed:
    """Why a point came to nothing, in one line."""

    reason: str


def measure_point(
    point: Point,
    seeds: int,
    device: str,
    data_dir: Path | None,
    plain_s: float | None,
    tell: Tell,
) -> Measured | Failed:
    """Measure ``point`` in a process of its own, whose memory and crashes are its own too.

    Args:
        point: what to run.
        seeds: over how many, one after the other.
        device: cpu or cuda.
        data_dir: where to look for data first.
        plain_s: of a plain step, where that is known; None measures it.
        tell: called with seed, epoch and accuracy after each epoch.
    """
    job = Job(
        config=point.config.as_dict(),
        seeds=seeds,
        train_rows=point.train_rows,
        device=device,
        data_dir=str(data_dir) if data_dir else None,
        plain_s=plain_s,
    )
    with TemporaryFile() as printed, _started(job, printed) as process:
        assert process.stdout is not None
        for line in process.stdout:
            message: dict[str, Any] = json.loads(line)
            if "measured" in message:
                return Measured(**message["measured"])
            if "failed" in message:
                return Failed(message["failed"])
            tell(message)
        return Failed(_why_it_ended(process.wait(), printed))


@contextmanager
def _started(job: Job, printed: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """The job's process, which nothing outlives that it started."""
    # -P: what lies in the working directory is not imported, as in the command itself.
    command = [sys.executable, "-P", "-m", "adiw_tune.scaling.worker", job.text()]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=printed,
        start_new_session=True,  # Ctrl-C is for the command, which then ends it
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _why_it_ended(code: int, printed: IO[bytes]) -> str:
    if code == -signal.SIGKILL:
        return "killed, as the system does where memory runs out"
    printed.seek(0)
    lines = printed.read().decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"its process ended by {how}: {last[:300]}"
