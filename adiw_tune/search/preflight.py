"""Whether what is recorded already can be added to."""

from adiw_tune.record.moved import settle
from adiw_tune.record.record import SearchRecord
from adiw_tune.tracking.preflight import check_recordable


def check_record(record: SearchRecord) -> None:
    """Settle a record that was moved, and ask MLflow whether it takes what is added.

    Raises:
        UserError: it is a copy that would write to the original's runs, or MLflow does not take it;
            the message says what would help.
    """
    settle(record)
    check_recordable(record.settings.tracking_uri, record.settings.search_id)
