"""What a search will take: a calibration per divergence and baseline, and arithmetic."""

import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, quantiles

import torch

from adiw_tune.arms import BASELINES, arm
from adiw_tune.cores import usable_cores
from adiw_tune.search.baselines import as_baseline
from adiw_tune.search.request import check_data, check_options, runs_at_once
from adiw_tune.search.space import SpaceFile
from adiw_tune.search.starting_points import check_space
from adiw_tune.training import StepCost, TrainingRun, TrialConfig, peak_memory_bytes
from adiw_tune.training.memory import CONTEXT_BYTES, fit_at_once

_SEARCHES = 200  # drawn from the space, for the range of what one takes
_CUT = 0.5  # of its work is what early stopping may save a search


@dataclass(frozen=True)
class ArmPlan:
    """One divergence or method of the space.

    Args:
        divergence: its name.
        plain_s: seconds of a plain step, alone.
        ratio: of a step of its own to a plain one, by the configuration that was measured.
        trial_s: seconds of a trial: the 10%, 50% and 90% quantiles over the space.
    """

    divergence: str
    plain_s: float
    ratio: float
    trial_s: tuple[float, float, float]


@dataclass(frozen=True)
class Plan:
    """What a search will take.

    Args:
        arms: one for each divergence that the space draws, and for each baseline.
        trials, concurrency: as asked for, or by default.
        search_s, finale_s: wall seconds, from the least to the most that is to be expected.
        memory_bytes: the most that a trial needs, None where the system does not tell: on a GPU
            of its memory, else of the machine's, Python and torch included.
        at_once: how many trials' memory and cores the machine has room for.
        device: what was measured on.
    """

    arms: list[ArmPlan]
    trials: int
    concurrency: int
    search_s: tuple[float, float]
    finale_s: tuple[float, float]
    memory_bytes: int | None
    at_once: int
    device: str


def make_plan(
    space: Path,
    trials: int,
    seed: int,
    seeds: int,
    baselines: bool,
    cross_fit: int | None,
    concurrency: int | None,
    data_dir: Path | None,
) -> Plan:
    """Measure one configuration of each divergence and baseline on this machine, and count.

    Nothing is written. The range of a search is that of 200 drawn from the space: from their 10%
    quantile, if early stopping saves half and trials at once do not slow each other, to their
    90% quantile, if it saves nothing and, where there is no GPU, trials at once gain nothing.
    Trials that the sampler prefers may be longer or shorter than those of random draws.
    """
    check_options(seed, trials, seeds, cross_fit, concurrency)
    configs = check_space(SpaceFile(space, seed, folds=cross_fit or 1))
    check_data(configs, data_dir)
    torch.set_num_threads(1)  # as in a trial
    gpus = torch.cuda.device_count()
    workers = runs_at_once(concurrency)
    by_arm: dict[str, list[TrialConfig]] = {}
    for config in configs:
        by_arm.setdefault(arm(config.as_dict()), []).append(config)
    for name in BASELINES if baselines else ():
        # As many as the trials that a search gives it: all of them are about a quarter.
        some = configs[:: 3 * len(BASELINES)]
        plain = [TrialConfig.from_mapping(as_baseline(name, one.as_dict())) for one in some]
        by_arm.setdefault(name, plain)
    device = torch.device("cuda" if gpus else "cpu")
    measured = {name: _measure(some, device, data_dir) for name, some in by_arm.items()}
    seconds = {n: [measured[n].trial_s(config) for config in some] for n, some in by_arm.items()}
    needs = [one.memory for one in measured.values() if one.memory is not None]
    memory = max(needs, default=None)
    gain = (workers, workers if gpus else 1)  # of trials at once: at best, at worst
    return Plan(
        arms=[_arm_plan(name, measured[name].cost, seconds[name]) for name in by_arm],
        trials=trials,
        concurrency=workers,
        search_s=_search_range([s for some in seconds.values() for s in some], trials, gain),
        finale_s=_finale_range(seconds, seeds, gain),
        memory_bytes=memory,
        at_once=_room(memory, device),
        device=torch.cuda.get_device_name() if gpus else "cpu",
    )


@dataclass(frozen=True)
class _Measured:
    cost: StepCost
    rows: int
    setup_s: float
    evaluation_s: float
    memory: int | None

    def trial_s(self, config: TrialConfig) -> float:
        """Wall seconds of a trial alone: its work, its set-up, and a look at the select split."""
        warm_up = min(config.warmup_epochs, config.epochs)
        plain = warm_up * self.cost.warm_up_ratio + (config.epochs - warm_up) * self.cost.ratio
        work = self.cost.plain_s * -(-self.rows // config.batch_size) * plain
        return work + self.setup_s + self.evaluation_s * config.epochs


def _measure(some: list[TrialConfig], device: torch.device, data_dir: Path | None) -> _Measured:
    """By the configuration in the middle, by its number of steps."""
    config = sorted(some, key=lambda one: one.steps)[len(some) // 2]
    start = time.perf_counter()
    run = TrainingRun(config, device, data_dir)
    setup_s = time.perf_counter() - start
    cost = run.calibrate()
    run.report()  # not timed: the first call imports scikit-learn
    start = time.perf_counter()
    run.report()
    evaluation_s = time.perf_counter() - start
    memory = peak_memory_bytes(device)
    return _Measured(cost, len(run.splits.train), setup_s, evaluation_s, memory)


def _arm_plan(name: str, cost: StepCost, seconds: list[float]) -> ArmPlan:
    deciles = quantiles(seconds, n=10) if len(seconds) > 1 else seconds * 9
    return ArmPlan(name, cost.plain_s, cost.ratio, (deciles[0], deciles[4], deciles[8]))


def _search_range(seconds: list[float], trials: int, gain: tuple[int, int]) -> tuple[float, float]:
    draw = random.Random(0)
    totals = [sum(draw.choices(seconds, k=trials)) for _ in range(_SEARCHES)]
    deciles = quantiles(totals, n=10)
    return _CUT * deciles[0] / gain[0], deciles[8] / gain[1]


def _finale_range(
    seconds: dict[str, list[float]], seeds: int, gain: tuple[int, int]
) -> tuple[float, float]:
    """Each divergence's pick over seeds, of which races leave as few as two, or all; the winner."""
    lap = sum(mean(some) for some in seconds.values())
    winner = max(mean(some) for some in seconds.values())
    return lap * min(2, seeds) / gain[0] + winner, lap * seeds / gain[1] + winner


def _room(memory: int | None, device: torch.device) -> int:
    if device.type == "cuda":
        return fit_at_once(memory or 0, CONTEXT_BYTES, torch.cuda.mem_get_info(device)[1])
    cores = usable_cores()
    if memory is None or not hasattr(os, "sysconf"):
        return cores
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(cores, int(0.9 * total // memory)))
