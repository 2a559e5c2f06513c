"""What is said of trainings and searches to come and under way: epochs, points, plans."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from adiw_tune.arms import BASELINES
from adiw_tune.metrics import Metric
from adiw_tune.terminal.tables import aligned
from adiw_tune.text import counted

if TYPE_CHECKING:
    from adiw_tune.record.history import History
    from adiw_tune.search.plan import Plan
    from adiw_tune.training import EpochReport


def skipped_text(history: "History") -> str:
    """How many points the space called infeasible, and whether that ended the search."""
    points = history.skipped
    text = f"{counted(len(points), 'point')} skipped as infeasible; the last: {points[-1].reason}"
    if history.given_up:
        trials = counted(len(history.of_kind("search")), "trial")
        text += f"\nended after {trials}: {history.skipped_in_a_row} points in a row infeasible"
    return text


def epoch_line(report: "EpochReport", epochs: int, metric: "Metric") -> str:
    """Where a training of ``epochs`` stands, by ``metric``."""
    value = metric.text(report.metrics.get(metric.name))
    shares = "".join(f", {name} {share:.0%}" for name, share in report.shares.items())
    unweighed = ""
    if report.unweighed:
        batches = "mini-batch" if report.unweighed == 1 else "mini-batches"
        unweighed = f", {report.unweighed} {batches} unweighed (a loss was NaN or infinite)"
    return (
        f"epoch {report.epoch}/{epochs}: select {metric.name} {value}, "
        f"loss {report.loss:.4f}, {report.train_seconds:.1f} s{shares}{unweighed}"
    )


def plan_text(plan: "Plan") -> str:
    """What a search will take, with ranges."""
    rows = [
        [
            arm.divergence,
            f"{1000 * arm.plain_s * arm.ratio:.2f} ms a step",
            f"{arm.ratio:.2f} of a plain one",
            f"a trial {_duration(arm.trial_s[1])} ({_duration(arm.trial_s[0])} to "
            f"{_duration(arm.trial_s[2])})",
        ]
        for arm in plan.arms
    ]
    plain = " and baseline" if any(arm.divergence in BASELINES for arm in plan.arms) else ""
    memory = "" if plan.memory_bytes is None else f"{plan.memory_bytes / 2**30:.2f} GiB a trial; "
    whole = [a + b for a, b in zip(plan.search_s, plan.finale_s, strict=True)]
    return "\n".join(
        [
            f"measured on {plan.device}, one configuration of each divergence{plain}:",
            *aligned(rows),
            f"{plan.trials} trials, {plan.concurrency} at once: {_range(plan.search_s)}",
            f"finale, over seeds, and the winner: {_range(plan.finale_s)}",
            f"in all: {_range(whole)}",
            f"memory: {memory}room for {plan.at_once} at once here",
        ]
    )


def _range(seconds: Sequence[float]) -> str:
    return f"{_duration(seconds[0])} to {_duration(seconds[1])}"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
