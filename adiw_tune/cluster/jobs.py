"""Searches as jobs of a Ray cluster: submitted, found again by their name, followed, stopped."""

import secrets
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adiw_tune.cluster.order import Order
from adiw_tune.errors import UserError, in_one_line

_SEARCH, _STORAGE = "adiw-tune search", "adiw-tune storage"  # in what Ray keeps of a job
_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_TO_START = 60.0  # of a cluster, until it can take a job
_NOT_YET = "No available agent"
_STOPPED = 130
_LOW_ON_MEMORY = "running low on memory"  # in what Ray says when it has killed a process for it
_LONGEST_REASON = 300


class JobLost(UserError):
    """A job that was killed. What it had recorded is kept."""


class Job:
    """A job of a cluster.

    Args:
        client: as :func:`adiw_tune.cluster.dashboard.connect` gives it.
        submission: what the cluster calls it.
    """

    def __init__(self, client: Any, submission: str) -> None:
        self._client = client
        self.submission = submission

    def details(self) -> Any:
        """Ray's ``JobDetails``: status, times, message, exit code."""
        with _asking():
            return self._client.get_job_info(self.submission)

    @property
    def ended(self) -> bool:
        """Whether it runs no more."""
        return bool(self.details().status.is_terminal())

    def log(self) -> str:
        """All that it has printed so far."""
        with _asking():
            return str(self._client.get_job_logs(self.submission))

    def follow(self, write: Callable[[str], object]) -> int:
        """Show what it prints until it ends; its exit code, that of Ctrl-C if it was stopped.

        Raises:
            UserError: it never began.
            JobLost: it was killed.
        """
        shown = 0
        while True:
            ended = self.ended  # before the log is read, so that it is read to its end
            text = self.log()
            write(text[shown:])
            shown = len(text)
            if ended:
                return self._exit_code()
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def stop(self) -> None:
        """Let it end as by Ctrl-C, and wait until it has."""
        with _asking():
            self._client.stop_job(self.submission)
        while not self.ended:
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def _exit_code(self) -> int:
        details = self.details()
        if details.status == "STOPPED":
            return _STOPPED
        code, message = details.driver_exit_code, details.message or "Ray does not say why"
        if _LOW_ON_MEMORY in message:
            raise JobLost(f"job '{self.submission}' was killed, as its node ran low on memory")
        if code is None:  # it never began
            reason = message.strip().splitlines()[-1][:_LONGEST_REASON]
            raise UserError(f"job '{self.submission}' failed: {reason}")
        if code == -signal.SIGKILL:
            raise JobLost(f"job '{self.submission}' was killed, perhaps for lack of memory")
        return int(code)


def submit(client: Any, order: Order, name: str) -> Job:
    """Hand a command to the cluster under the name of a search.

    Raises:
        UserError: what is to be sent is not right, or that search is running there already.
    """
    jobs = _all_jobs(client)
    running = [job for job in _of_search(jobs, name) if not job.status.is_terminal()]
    if running:
        raise UserError(
            f"search '{name}' is running as job '{running[-1].submission_id}': follow it by "
            f"'adiw-tune logs {name} --follow', stop it by 'adiw-tune stop {name}'"
        )
    taken = {job.submission_id for job in jobs}
    tries = (f"{name}-{number}" if number > 1 else name for number in range(1, len(taken) + 2))
    submission = next(candidate for candidate in tries if candidate not in taken)
    return _hand_over(client, order, submission, {_SEARCH: name, _STORAGE: order.storage})


def run_there(client: Any, order: Order) -> tuple[str, int]:
    """Run a command on the cluster, leaving no job behind; what it printed, and its exit code."""
    job = _hand_over(client, order, f"adiw-tune-{secrets.token_hex(4)}", {})
    printed: list[str] = []
    try:
        code = job.follow(printed.append)
    finally:
        job.stop()
        client.delete_job(job.submission)
    return "".join(printed).partition(f"{order.entrypoint}\n")[2], code


def find_job(client: Any, name: str) -> tuple[Job, str]:
    """The last job of a search, and the directory of its searches on the cluster."""
    jobs = _all_jobs(client)
    found = _of_search(jobs, name)
    if not found:
        known = sorted({job.metadata[_SEARCH] for job in jobs if _SEARCH in (job.metadata or {})})
        told = f"there are {', '.join(known)}" if known else "no search was submitted to it"
        raise UserError(f"no search '{name}' on this cluster: {told}")
    return Job(client, found[-1].submission_id), found[-1].metadata[_STORAGE]


def _of_search(jobs: list[Any], name: str) -> list[Any]:
    """In the order in which they were submitted."""
    found = [job for job in jobs if (job.metadata or {}).get(_SEARCH) == name]
    return sorted(found, key=lambda job: job.start_time)


def _all_jobs(client: Any) -> list[Any]:
    """Those that were submitted."""
    with _asking():
        return [job for job in client.list_jobs() if job.submission_id]


def _hand_over(client: Any, order: Order, submission: str, metadata: dict[str, str]) -> Job:
    """Send it; a cluster that has just begun is given time to become ready."""
    last = time.monotonic() + _SECONDS_TO_START
    with tempfile.TemporaryDirectory(prefix="adiw-submit-") as folder, _asking():
        provided = order.runtime_env(Path(folder))
        while True:
            try:
                client.submit_job(
                    entrypoint=order.entrypoint,
                    submission_id=submission,
                    runtime_env=provided,
                    metadata=metadata,
                )
                return Job(client, submission)
            except RuntimeError as error:
                if _NOT_YET not in str(error) or time.monotonic() > last:
                    raise
            time.sleep(_SECONDS_BETWEEN_LOOKS)


@contextmanager
def _asking() -> Iterator[None]:
    """What the job server answers, or that it does not, in one line."""
    try:
        yield
    except UserError:
        raise
    except (RuntimeError, OSError) as error:  # those of requests are of the latter kind
        raise UserError(f"the cluster's job server fails ({in_one_line(error)})") from error
