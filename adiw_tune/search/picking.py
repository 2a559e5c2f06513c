"""What a search answers: its front, its pick by a policy, and the configuration of that."""

from typing import Any

from adiw_tune.arms import BASELINES
from adiw_tune.decide import Decision, decide, parse_policy
from adiw_tune.record.record import SearchRecord


def pick(record: SearchRecord, policy: str | None = None) -> Decision:
    """The decision by ``policy``, or by the search's own, with the evidence there is.

    Raises:
        UserError: no trial ran so far that there is anything to pick from, or none fits.
    """
    rule = parse_policy(policy or record.settings.policy, record.settings.main_metric)
    history = record.history()
    reruns = history.reruns() if record.settings.seeds else None
    wanted = BASELINES if record.settings.baselines else ()
    return decide(history.trials(), rule, reruns, wanted)


def picked_config(record: SearchRecord, policy: str | None = None) -> dict[str, Any]:
    """The configuration of the pick.

    Of a trial that was cut before its last epoch and is all there is, the one that trains as far.
    """
    return record.history().runs[pick(record, policy).trial].as_far
