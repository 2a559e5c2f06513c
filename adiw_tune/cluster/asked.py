"""What can be seen to be wrong with a search before it is handed to a cluster."""

from collections.abc import Sequence
from pathlib import Path

from adiw_tune.cluster.package import sent_as
from adiw_tune.errors import UserError
from adiw_tune.record.checkpoints import absolute
from adiw_tune.search.request import SearchRequest, check_asked
from adiw_tune.tasks import shift_files
from adiw_tune.tracking.check import absolute_uri
from adiw_tune.user_file import is_file


def check_submission(request: SearchRequest, folder: Path, exclude: Sequence[str]) -> str:
    """Refuse what the search would refuse there, but for data, storage and MLflow.

    Args:
        request: with the paths of this machine.
        folder: what is sent along.
        exclude: names of what is not.

    Returns:
        The path of the space file from the folder on.

    Raises:
        UserError: something asked for is not right, or a file that the space needs is not sent.
    """
    configs = check_asked(request)
    _check_places(request)
    own = {("task", config.task) for config in configs}
    own |= {("divergence", config.divergence) for config in configs}
    files = {(kind, name) for kind, name in own if is_file(name)}
    files |= {("labels", file) for config in configs for file in shift_files(config.shift)}
    for kind, name in sorted(files):
        sent_as(Path(name), kind, folder, exclude)
    return sent_as(request.space, "space", folder, exclude)


def _check_places(request: SearchRequest) -> None:
    """Refuse what would be recorded in the folder that Ray makes for the job, and takes away."""
    for option, given, there in (
        ("--tracking-uri", request.tracking_uri, absolute_uri(request.tracking_uri)),
        (
            "--checkpoints",
            request.checkpoints,
            request.checkpoints and absolute(request.checkpoints),
        ),
    ):
        if given != there:
            raise UserError(
                f"{option} '{given}' would lie in the job's folder, which is not kept: give its "
                "path on the cluster from the top, or a URL"
            )
