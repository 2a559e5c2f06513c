"""Which parameters of a space mattered, by Optuna's functional ANOVA."""

import optuna
import pandas as pd

from adiw_tune.arms import BASELINES
from adiw_tune.ranges import FLOAT32
from adiw_tune.record.history import History
from adiw_tune.search.proposals import study_of

_FEWEST_TRIALS = 8  # below that, a forest says nothing


def importance(history: History) -> pd.DataFrame:
    """How much each parameter explains of the finished trials' metric and work.

    Columns parameter, of the metric's name, work_s: shares in [0, 1] that add up to 1; no rows
    where fewer than 8 trials finished. Only parameters that every finished trial has can be told
    apart, so baselines are left out. What none of them explains, such as a value that all trials
    reach, leaves shares of 0, or no rows. Parameters whose range goes beyond float32, in which the
    forest computes, are left out.
    """
    name = history.metric.name
    finished = [run for run in history.of_kind("search") if run.status == "finished"]
    finished = [run for run in finished if run.arm not in BASELINES] or finished
    if len(finished) < _FEWEST_TRIALS:
        return pd.DataFrame(columns=["parameter", name, "work_s"])
    study = study_of(finished, history.metric)
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    ranges = optuna.search_space.intersection_search_space(study.get_trials(deepcopy=False))
    told_apart = [name for name, one in ranges.items() if _is_in_float32(one)]

    def shares_of(at: int) -> dict[str, float]:
        if not told_apart:
            return {}
        try:
            return optuna.importance.get_param_importances(
                study,
                evaluator=evaluator,
                params=told_apart,
                target=lambda trial: float(trial.values[at]),
            )
        except RuntimeError:  # none of the forest's trees has any variance
            return {}

    shares = {name: shares_of(0), "work_s": shares_of(1)}
    table = pd.DataFrame(shares).fillna(0.0)
    return table.rename_axis("parameter").reset_index().sort_values(name, ascending=False)


def _is_in_float32(distribution: optuna.distributions.BaseDistribution) -> bool:
    ends = (getattr(distribution, "low", 0), getattr(distribution, "high", 0))
    return all(abs(end) <= FLOAT32[1] for end in ends)
