"""What is told of a job of a cluster that ended otherwise than by itself."""

from __future__ import annotations

import pytest
from ray.dashboard.modules.job.pydantic_models import JobDetails, JobType
from ray.job_submission import JobStatus

from adiw_tune.cli import cluster as commands
from adiw_tune.cluster.jobs import Job
from adiw_tune.errors import UserError

# As Ray 2.60 writes it, with the lists of processes cut.
LOW = (
    "Job supervisor actor died: 1 worker(s) were killed due to the node running low on memory. "
    "Memory on the node (IP: 192.0.2.1) was 4.99GB used / 5.00GB limit (0.99)\n"
    "Top 10 memory users: PID\tMEM(GB)\tCOMMAND\n" + "Refer to the documentation " * 40
)


class Server:
    """Answers as a job server does of a job that has ended."""

    def __init__(self, message: str, code: int | None) -> None:
        self.details = JobDetails(
            type=JobType.SUBMISSION,
            entrypoint="python",
            status=JobStatus.FAILED,
            message=message,
            driver_exit_code=code,
        )

    def get_job_info(self, submission: str) -> JobDetails:
        return self.details

    def get_job_logs(self, submission: str) -> str:
        return "[1/4] trial 0\n"


@pytest.mark.parametrize(("message", "code"), [(LOW, None), (LOW, 1), ("signal 9", -9)])
def test_a_job_killed_for_memory_is_told_in_a_line_with_the_way_on(
    message: str, code: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        commands._follow(Job(Server(message, code), "s-2"), "s")
    assert ended.value.code == 1
    printed = capsys.readouterr()
    assert printed.out == "[1/4] trial 0\n"
    (line,) = printed.err.splitlines()
    assert line.startswith("error: job 's-2' was killed, ")
    assert line.endswith("; submit it again to resume 's'")
    assert "memory" in line


def test_a_job_that_never_began_is_told_by_the_end_of_what_ray_says() -> None:
    with pytest.raises(UserError, match=r"^job 's' failed: x{300}$"):
        Job(Server("first\n" + "x" * 1000, None), "s").follow(lambda _: None)


def test_a_job_that_ended_by_itself_has_its_own_exit_code() -> None:
    assert Job(Server("", 2), "s").follow(lambda _: None) == 2
