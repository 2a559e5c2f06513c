"""Whether weights tell right labels from wrong ones: digits, half of the training labels wrong.

    python benchmarks/separation.py     # a minute on one core; prints the table of docs/results.md

Mean last weight of the rows whose label is right and of those whose label is wrong, after 15 epochs
of the project's defaults (mini-batches of 64, Adam 3e-3), one seed; reference rows are not trained
on. benchmarks/clean_rows.py shows what training on them does to the weights.
"""

import torch

from adiw_tune.divergences import DEFAULT_BANDWIDTHS, DIVERGENCES, has_bandwidth
from adiw_tune.training import TrainingRun, TrialConfig, load_splits

SETTING = TrialConfig(
    shift="symmetric:0.5", epochs=15, batch_size=64, learning_rate=3e-3, reference_weight=0.0
)
OTHERS = {"loss": (), "feature": (1.0, 0.15)}  # bandwidths beside the default
RUNS = [
    (kind, bandwidth)
    for kind, others in OTHERS.items()
    for bandwidth in (DEFAULT_BANDWIDTHS[kind], *others)
]


def mean_weights(config: TrialConfig) -> tuple[float, float]:
    run = TrainingRun(config)
    clean = load_splits(TrialConfig(**{**config.as_dict(), "shift": "none"})).train.labels
    right = clean == run.splits.train.labels
    while not run.finished:
        run.run_epoch()
    weights = run.method.estimator.weighter.memory.weights
    return float(weights[right].mean()), float(weights[~right].mean())


def main() -> None:
    torch.set_num_threads(1)
    print("| weights from | bandwidth | " + " | ".join(DIVERGENCES) + " |")
    print("|---" * (2 + len(DIVERGENCES)) + "|")
    for representation, bandwidth in RUNS:
        cells = []
        for divergence in DIVERGENCES:
            if not has_bandwidth(divergence) and bandwidth != DEFAULT_BANDWIDTHS[representation]:
                cells.append("-")
                continue
            changes = {"representation": representation, "divergence": divergence}
            if has_bandwidth(divergence):
                changes["bandwidth"] = bandwidth
            config = {**SETTING.as_dict(), **changes}
            cells.append("{:.2f} / {:.2f}".format(*mean_weights(TrialConfig(**config))))
        print(f"| {representation} | {bandwidth} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
