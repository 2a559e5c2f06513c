"""Fashion-MNIST with LeNet under pair noise: for hours on a few cores, or minutes on a GPU."""

import optuna

WITH_KERNEL = ("mmd", "kl", "squared", "pearson")


def space(trial: optuna.Trial) -> dict:
    """One point: the divergence, how it is minimised, what on, and for how long to train."""
    values = {
        "task": "fashion-mnist",
        "shift": "pair:0.45",
        "epochs": trial.suggest_int("epochs", 2, 12),
        "divergence": trial.suggest_categorical(
            "divergence", [*WITH_KERNEL, "wasserstein", "energy"]
        ),
        "steps": trial.suggest_int("steps", 1, 20, log=True),
        "step_size": trial.suggest_float("step_size", 0.1, 1.5, log=True),
        "warm_start": trial.suggest_categorical("warm_start", ["off", "memory", "decay"]),
        "warmup_epochs": trial.suggest_int("warmup_epochs", 0, 2),
        "representation": trial.suggest_categorical("representation", ["loss", "feature"]),
        # Factor of the loss of the reference rows; 0 does not train on them.
        "reference_weight": trial.suggest_categorical("reference_weight", [0.0, 0.1, 0.3, 1.0]),
    }
    if values["warm_start"] == "decay":
        values["decay"] = trial.suggest_float("decay", 0.1, 0.9)
    if values["divergence"] in WITH_KERNEL:
        values["bandwidth"] = trial.suggest_float("bandwidth", 0.1, 1.5, log=True)
    return values
