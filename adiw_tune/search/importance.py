"""Which parameters of a space mattered, by Optuna's functional ANOVA."""

import optuna
import pandas as pd

from adiw_tune.record.history import History
from adiw_tune.search.proposals import study_of

_FEWEST_TRIALS = 8  # below that, a forest says nothing


def importance(history: History) -> pd.DataFrame:
    """How much each parameter explains of the finished trials' accuracy and work.

    Columns parameter, accuracy, work_s: shares in [0, 1] that add up to 1; no rows where fewer than
    8 trials finished. Only parameters that every finished trial has can be told apart; what none
    of them explains, such as an accuracy that all trials reach, leaves shares of 0, or no rows.
    """
    finished = [run for run in history.of_kind("search") if run.status == "finished"]
    if len(finished) < _FEWEST_TRIALS:
        return pd.DataFrame(columns=["parameter", "accuracy", "work_s"])
    study = study_of(finished)
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)

    def shares_of(at: int) -> dict[str, float]:
        try:
            return optuna.importance.get_param_importances(
                study, evaluator=evaluator, target=lambda trial: float(trial.values[at])
            )
        except RuntimeError:  # none of the forest's trees has any variance
            return {}

    shares = {"accuracy": shares_of(0), "work_s": shares_of(1)}
    table = pd.DataFrame(shares).fillna(0.0)
    return table.rename_axis("parameter").reset_index().sort_values("accuracy", ascending=False)
