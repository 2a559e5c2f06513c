"""What of a machine a trial is given: cores, a share of a GPU, or several."""

import math
from dataclasses import dataclass, replace

from ray.tune import PlacementGroupFactory

from adiw_tune.record.history import History
from adiw_tune.record.runs import Run
from adiw_tune.record.settings import SearchSettings
from adiw_tune.training.memory import CONTEXT_BYTES, fit_at_once

_MOST_ON_A_GPU = 8


@dataclass(frozen=True)
class Machines:
    """What the machines of a cluster have.

    Args:
        cpus, gpus: of the one that has most.
        all_cpus, all_gpus: of all together.
    """

    cpus: int
    gpus: int
    all_cpus: int
    all_gpus: int


@dataclass(frozen=True)
class Share:
    """What one worker of a trial is given.

    Args:
        cpus: cores.
        gpus: a fraction of one, or whole ones; 0 where there are none.
        workers: how many of them the trial has.
        context_bytes: of a GPU, for what no allocator counts: each process has a context there.
    """

    cpus: int
    gpus: float
    workers: int = 1
    context_bytes: int = CONTEXT_BYTES

    def memory_fraction(self, device_bytes: int) -> float:
        """Of a GPU's memory that torch may reserve, in (0, 1]: Ray's fractions cap nothing."""
        if self.gpus >= 1:
            return 1.0
        return max(self.gpus - self.context_bytes / device_bytes, 0.01)

    def bundles(self) -> PlacementGroupFactory:
        """For Tune. Workers of a trial that has several are placed by Ray Train, each anew.

        Then the trial itself has no core, or there would be none left for the last worker.
        """
        if self.workers > 1:
            return PlacementGroupFactory([{"memory": 2**20}])  # none at all is not allowed
        return PlacementGroupFactory([{"CPU": self.cpus, "GPU": self.gpus}])


def share_of(run: Run, history: History, settings: SearchSettings, machines: Machines) -> Share:
    """What ``run`` is to have now: twice as much, once it or what it repeats ran out of memory.

    Of a GPU whose share nobody asked for: as much as runs of the same task, network, precision and
    batch size were seen to need, which is the whole until one was.
    """
    return _grown(_asked(run, history, settings, machines), machines, _lacked(run, history))


def missing(settings: SearchSettings, machines: Machines) -> str | None:
    """What there is not of what a trial is to have, in a line; None: there is room.

    No machine has as much as each worker needs, or all of them have not as much as all workers.
    """
    workers = settings.workers_per_trial
    gpus = min(machines.gpus, 1) if settings.gpus_per_trial is None else settings.gpus_per_trial
    for what, each, most, has in (
        ("core", settings.cpus_per_trial, machines.cpus, machines.all_cpus),
        ("GPU", _whole(gpus, workers), machines.gpus, machines.all_gpus),
    ):
        if each > most:
            return f"no machine of the cluster has {each:g} {what}{'s' if each > 1 else ''}"
        if workers * each > has:
            return f"the cluster has {has} {what}s, and a trial takes {workers * each:g}"
    return None


def may_grow(run: Run, history: History, settings: SearchSettings, machines: Machines) -> bool:
    """Whether a run that is out of memory could be given more."""
    asked = _asked(run, history, settings, machines)
    return not _lacked(run, history) and _grown(asked, machines, True) != asked


def _lacked(run: Run, history: History) -> bool:
    """Whether there was not enough memory for it, or for what it repeats."""
    repeated = history.runs[run.of].out_of_memory if run.of else 0
    return run.out_of_memory + repeated > 0


def _asked(run: Run, history: History, settings: SearchSettings, machines: Machines) -> Share:
    gpus, context = settings.gpus_per_trial, max(CONTEXT_BYTES, history.context_bytes())
    if gpus is None:
        need = history.peak_memory(run.config)
        gpus = _measured(need, context) if machines.gpus else 0.0
    workers = settings.workers_per_trial
    return Share(settings.cpus_per_trial, _whole(gpus, workers), workers, context)


def _whole(gpus: float, workers: int) -> float:
    """Of each of several workers: NCCL wants a GPU for each process."""
    return gpus if workers == 1 else math.ceil(gpus)


def _measured(need: tuple[int, int] | None, context: int) -> float:
    """The smallest share 1/k, of at least an eighth, whose memory holds what is needed."""
    if need is None:
        return 1.0
    memory, device = need
    return 1.0 / min(fit_at_once(memory, context, device), _MOST_ON_A_GPU)


def _grown(share: Share, machines: Machines, twice: bool) -> Share:
    """More memory: of a GPU a larger fraction, of a machine more cores, so that fewer share it."""
    if not twice:
        return share
    if share.gpus:
        larger = min(1.0, 2 * share.gpus) if share.gpus < 1 else share.gpus
        return replace(share, gpus=larger)
    most = min(machines.cpus, machines.all_cpus // share.workers)
    return replace(share, cpus=max(share.cpus, min(2 * share.cpus, most)))
