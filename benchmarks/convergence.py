"""How near the optimum a few projected-gradient steps come, while the network is in training.

    python benchmarks/convergence.py run     # about 10 minutes on one core; writes convergence.json
    python benchmarks/convergence.py frozen  # a minute: the mini-batch held fixed anew
    python benchmarks/convergence.py table
    python benchmarks/convergence.py plot    # docs/convergence.png

Fashion-MNIST, pair noise 0.45, LeNet, defaults (trained on the weights of mmd, 5 steps, decay 0.5).
Beside them, at every mini-batch, each combination of divergence, start and number of steps solves
the same problem with a memory of its own. Two measures, medians over every 10th mini-batch:

gap = (f(w) - f*) / (f(1) - f*), f* by the exact QP (mmd and energy, which are quadratic): 0 is the
optimum, 1 no better than no weights.
stationarity = ‖w - P(w - ∇f(w)/L(w))‖ / √n, the root mean square of what one more step would
change, P the projection: 0 at a stationary point, and only there. For wasserstein, whose curvature
is one over Polyak's step, L is that of its smoothed function: the largest eigenvalue that its
Hessian can have, along changes of mean 0.

``frozen`` is the last mini-batch held fixed, and up to 3,000 steps taken on it.
"""

import argparse
import json
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from provenance import commit, machine
from torch import Tensor
from torch.autograd.functional import jacobian

from adiw_tune.divergences import Local, WeightObjective, make_divergence
from adiw_tune.divergences.wasserstein import WassersteinObjective
from adiw_tune.training import TrainingRun, TrialConfig
from adiw_tune.training.learner import represent
from adiw_tune.training.methods import Step
from adiw_tune.weights import FeasibleSet, WeightMemory, WeightSolver
from adiw_tune.weights.exact import solve_mmd_exactly

RESULTS = Path(__file__).with_suffix(".json")
PLOT = Path(__file__).parent.parent / "docs" / "convergence.png"
SETTING = TrialConfig(task="fashion-mnist", shift="pair:0.45", reference_weight=0.0)
QUADRATIC = ("mmd", "energy")
DIVERGENCES = ("mmd", "energy", "kl", "squared", "pearson", "wasserstein")
STEPS = (1, 3, 5, 10)
STARTS = {"off": 0.0, "decay 0.5": 0.5, "memory": 1.0}
FROZEN_STEPS = (1, 2, 5, 10, 30, 100, 300, 1000, 3000)
EVERY = 10  # mini-batches
SHOWN_ABOVE = 1e-6  # squared is solved in one step, to the last digit
FEASIBLE = FeasibleSet()


def stationarity(near: Local, w: Tensor, curvature: Tensor | None = None) -> float:
    bound = near.curvature if curvature is None else curvature
    moved = FEASIBLE.project(w - near.gradient / bound)
    return float((w - moved).square().mean().sqrt())


def largest_curvature(objective: WassersteinObjective, n: int) -> Tensor:
    """Of the smoothed function, whose Hessian is largest where no difference exceeds s."""
    # No difference of distribution functions exceeds 1, and so f is quadratic at s = 1.
    quadratic = replace(objective, smoothing=1.0)
    one = torch.ones(n, dtype=torch.float64)
    hessian = jacobian(lambda w: quadratic.at(w).gradient, one) / objective.smoothing
    centring = torch.eye(n, dtype=torch.float64) - 1 / n
    return torch.linalg.eigvalsh(centring @ hessian @ centring)[-1]


class Observer:
    """Takes the place of a method's ``weigh``: solves every combination, returns the default's."""

    def __init__(self, run: TrainingRun) -> None:
        self.run = run
        self.seen = 0
        size = len(run.splits.train)
        self.memories = {
            (name, start, steps): WeightMemory(size, retention)
            for name in QUADRATIC
            for start, retention in STARTS.items()
            for steps in STEPS
        }
        self.measured: dict[tuple[str, str, int], list[tuple[float, float]]] = defaultdict(list)
        self.last: tuple[Tensor, Tensor]

    @torch.no_grad()
    def __call__(self, step: Step) -> Tensor:
        """The weights of mmd by 5 steps with decay, all others having been measured."""
        target = step.learner.look(self.run.method.reference.draw())
        self.last = represent("loss", step.forward, target)
        measure = self.seen % EVERY == 0
        self.seen += 1
        used = None
        for name in QUADRATIC:
            objective = make_divergence(name).prepare(*self.last)
            exact = solve_mmd_exactly(objective, FEASIBLE) if measure else None
            for start in STARTS:
                for steps in STEPS:
                    memory = self.memories[name, start, steps]
                    w = WeightSolver(steps).solve(objective, memory.read(step.index))
                    memory.write(step.index, w)
                    if exact is not None:
                        self.measured[name, start, steps].append(_measures(objective, w, exact))
                    if (name, start, steps) == ("mmd", "decay 0.5", 5):
                        used = w
        assert used is not None
        return used


def _measures(objective: WeightObjective, w: Tensor, exact: Tensor) -> tuple[float, float]:
    near = objective.at(w)
    least = objective.at(exact).value
    worst = objective.at(torch.ones_like(w)).value
    return float((near.value - least) / (worst - least)), stationarity(near, w)


def run() -> None:
    torch.set_num_threads(1)
    training = TrainingRun(SETTING)
    observer = Observer(training)
    training.method.weigh = observer
    rows: list[dict[str, Any]] = []
    while not training.finished:
        observer.measured.clear()
        epoch = training.run_epoch().epoch
        for (name, start, steps), pairs in observer.measured.items():
            gaps, distances = zip(*pairs, strict=True)
            rows.append(
                {
                    "divergence": name,
                    "start": start,
                    "steps": steps,
                    "epoch": epoch,
                    "gap": median(gaps),
                    "stationarity": median(distances),
                }
            )
        print(f"epoch {epoch}", file=sys.stderr, flush=True)
    result = {
        "commit": commit(),
        "machine": machine(),
        "training": rows,
        **frozen(*observer.last),
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


def freeze_anew() -> None:
    """The last mini-batch of the same training, which the observer leaves as it would be."""
    torch.set_num_threads(1)
    training = TrainingRun(SETTING)
    last: list[tuple[Tensor, Tensor]] = []
    training.method.estimator.weighter.register_forward_pre_hook(
        lambda weighter, given: last.__setitem__(slice(None), [given[:2]])
    )
    while not training.finished:
        training.run_epoch()
    result = json.loads(RESULTS.read_text()) | frozen(*last[0])
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


def frozen(source: Tensor, target: Tensor) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for name in DIVERGENCES:
        objective = make_divergence(name).prepare(source.double(), target.double())
        start = torch.ones(len(source), dtype=torch.float64)
        kinked = isinstance(objective, WassersteinObjective)
        curvature = largest_curvature(objective, len(source)) if kinked else None
        for steps in FROZEN_STEPS:
            w = WeightSolver(steps).solve(objective, start)
            near = objective.at(w)
            rows.append(
                {
                    "divergence": name,
                    "steps": steps,
                    "value": float(near.value),
                    "stationarity": stationarity(near, w, curvature),
                }
            )
    return {"frozen": rows, "frozen_commit": commit(), "frozen_machine": machine()}


def table() -> None:
    result = json.loads(RESULTS.read_text())
    last = max(row["epoch"] for row in result["training"])
    found = {(r["divergence"], r["start"], r["steps"], r["epoch"]): r for r in result["training"]}
    print(f"Epoch {last}; gap / stationarity.\n")
    print("| divergence | start | " + " | ".join(f"{k} steps" for k in STEPS) + " |")
    print("|---|---|" + "---|" * len(STEPS))
    for name in QUADRATIC:
        for start in STARTS:
            cells = [found[name, start, steps, last] for steps in STEPS]
            text = " | ".join(f"{c['gap']:.3f} / {c['stationarity']:.3f}" for c in cells)
            print(f"| {name} | {start} | {text} |")
    print("\nOne mini-batch held fixed: stationarity.\n")
    print("| divergence | " + " | ".join(map(str, FROZEN_STEPS)) + " |")
    print("|---|" + "---|" * len(FROZEN_STEPS))
    for name in DIVERGENCES:
        cells = [r["stationarity"] for r in result["frozen"] if r["divergence"] == name]
        print(f"| {name} | " + " | ".join(f"{value:.1e}" for value in cells) + " |")
    print(f"\nCommit {result['commit']}, {result['machine']};", end=" ")
    print(f"of the mini-batch held fixed {result['frozen_commit']}, {result['frozen_machine']}.")


def plot() -> None:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    result = json.loads(RESULTS.read_text())
    figure, axes = plt.subplots(2, 2, figsize=(11, 8), layout="constrained")
    styles = {"off": ":", "decay 0.5": "--", "memory": "-"}
    colours = dict(zip(STEPS, ("C0", "C1", "C2", "C3"), strict=True))
    panels = [(name, "gap") for name in QUADRATIC] + [("mmd", "stationarity")]
    for axis, (name, measure) in zip(axes.flat, panels, strict=False):
        for start, style in styles.items():
            for steps, colour in colours.items():
                wanted = (name, start, steps)
                rows = [
                    r
                    for r in result["training"]
                    if (r["divergence"], r["start"], r["steps"]) == wanted
                ]
                epochs, values = [r["epoch"] for r in rows], [r[measure] for r in rows]
                axis.plot(epochs, values, style, color=colour)
        axis.set(title=f"{name}: {measure}, while training", xlabel="epoch", yscale="log")
        axis.grid(alpha=0.3)
    for steps, colour in colours.items():
        axes[0, 1].plot([], [], color=colour, label=f"{steps} step{'s' * (steps > 1)}")
    for start, style in styles.items():
        axes[0, 1].plot([], [], style, color="black", label=start)
    axes[0, 1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    frozen_axis = axes[1, 1]
    for name in DIVERGENCES:
        rows = [r for r in result["frozen"] if r["divergence"] == name]
        values = [max(r["stationarity"], SHOWN_ABOVE) for r in rows]
        frozen_axis.plot([r["steps"] for r in rows], values, ".-", label=name)
    frozen_axis.set(title="one mini-batch held fixed: stationarity", xlabel="steps")
    frozen_axis.set(xscale="log", yscale="log")
    frozen_axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    frozen_axis.grid(alpha=0.3)
    figure.savefig(PLOT, dpi=110)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["run", "frozen", "table", "plot"])
    {"run": run, "frozen": freeze_anew, "table": table, "plot": plot}[parser.parse_args().what]()
