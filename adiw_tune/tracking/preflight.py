"""Can a search be recorded? Asked of MLflow before anything is written."""

from __future__ import annotations

from adiw_tune.errors import UserError
from adiw_tune.tracking.check import check_tracking_uri, is_server, sqlite_path, without_secrets
from adiw_tune.tracking.refusal import is_temporary, refusal
from adiw_tune.tracking.retry import one_quick_attempt_each
from adiw_tune.tracking.schema import check_tables, holds_mlflow


def check_recordable(uri: str, search_id: str | None = None) -> None:
    """Raise UserError with one line if the runs of a search cannot be recorded.

    Args:
        uri: the tracking store.
        search_id: of a search that may be there already; None for a new one.

    Raises:
        RefusedError: the experiment, or the search's run, is deleted in MLflow, or MLflow refuses
            to tell; the message says what would help.
        UserError: the store is not usable, see `check_tracking_uri`, or lacks tables.
    """
    check_tracking_uri(uri)
    database = sqlite_path(uri)
    if database and database.exists():
        check_tables(uri, database)
    if database and not holds_mlflow(database):
        return  # MLflow would make its tables as it is asked
    from mlflow.exceptions import MlflowException

    from adiw_tune.tracking.store import client_of, find_experiment, find_parent

    one_quick_attempt_each()
    try:
        client = client_of(uri)
        experiment_id = find_experiment(client)
        if experiment_id is not None and search_id is not None:
            find_parent(client, experiment_id, search_id)
    except (MlflowException, OSError) as error:
        if not is_temporary(error):
            raise refusal(error) from None
        what = "server" if is_server(uri) else "database"
        raise UserError(
            f"tracking {what} cannot be reached now ({without_secrets(error)}): try again later"
        ) from None
