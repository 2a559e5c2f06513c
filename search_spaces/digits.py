"""The space of the main job: scikit-learn's digits with half of the training labels wrong.

A search tries plain training beside it: on the same task, for as long, with the same rate.

``space`` gets an Optuna trial and returns fields of ``adiw_tune.training.TrialConfig``. What it
does not name keeps its default. Ask only for what the choices so far leave open: a parameter that
means nothing would only mislead the sampler.
"""

import optuna

WITH_KERNEL = ("mmd", "kl", "squared")


def space(trial: optuna.Trial) -> dict:
    """One point: the divergence, how it is minimised, what on, and for how long to train."""
    values = {
        "task": "digits",
        "shift": "symmetric:0.5",
        "batch_size": 64,
        "learning_rate": 3e-3,
        "epochs": trial.suggest_int("epochs", 5, 30),
        "divergence": trial.suggest_categorical("divergence", [*WITH_KERNEL, "wasserstein"]),
        "steps": trial.suggest_int("steps", 1, 10, log=True),
        "step_size": trial.suggest_float("step_size", 0.1, 1.5, log=True),
        "warm_start": trial.suggest_categorical("warm_start", ["off", "memory", "decay"]),
        "warmup_epochs": trial.suggest_int("warmup_epochs", 0, 3),
        # Factor of the loss of the reference rows; 0 does not train on them.
        "reference_weight": trial.suggest_categorical("reference_weight", [0.0, 0.1, 0.3, 1.0]),
    }
    if values["warm_start"] == "decay":
        values["decay"] = trial.suggest_float("decay", 0.1, 0.9)
    if values["divergence"] in WITH_KERNEL:
        values["bandwidth"] = trial.suggest_float("bandwidth", 0.1, 1.5, log=True)
        values["representation"] = trial.suggest_categorical("representation", ["loss", "feature"])
    return values
