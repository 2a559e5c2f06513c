"""Ray Tune's scheduler of a search: trials run in order, and some are cut at rungs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from adiw_tune.metrics import ACCURACY, Metric
from adiw_tune.record.log import EventLog
from adiw_tune.search.rungs import Rungs

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial


class ParetoScheduler(FIFOScheduler):
    """Cuts search trials at :class:`~adiw_tune.search.rungs.Rungs`; others run their full course.

    Ray pickles a search's scheduler when it starts and never again. So this one keeps a path, and
    reads in the log where its rungs stand. What the log lacks of the last moment before a kill,
    the trials report again.

    Args:
        path: of the search's ``events.jsonl``.
        metric: that the search chooses by.
    """

    def __init__(self, path: Path, metric: Metric = ACCURACY) -> None:
        super().__init__()
        self.__setstate__({"path": path, "metric": metric})

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self._log.path, "metric": self._main_metric}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._log, self._main_metric = EventLog(state["path"]), state["metric"]
        self._rungs = Rungs.replayed(self._log, self._main_metric)

    def on_trial_result(
        self, tune_controller: "TuneController", trial: "Trial", result: dict[str, Any]
    ) -> str:
        """Whether the trial goes on after this epoch; the log is told of one that does not."""
        searched = _search_trial(trial.config)
        if searched is None or self._main_metric.name not in result:  # which is flat
            return str(TrialScheduler.CONTINUE)
        name, config = searched
        if self._rungs.told(name, config, result, self._main_metric):
            return str(TrialScheduler.CONTINUE)
        self._log.append("cut", trial=name, rung=result["epoch"])
        return str(TrialScheduler.STOP)


def _search_trial(config: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Id and configuration of a search trial in what Tune was given; None for another kind."""
    about = config["adiw"]
    return (about["trial"], config["config"]) if about["kind"] == "search" else None
