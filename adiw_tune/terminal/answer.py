"""The answer of a search in words: the pick and how sure it is, and what the test split said."""

from typing import TYPE_CHECKING, Any

from adiw_tune.decide import Decision
from adiw_tune.metrics import ACCURACY, Metric
from adiw_tune.terminal.tables import aligned
from adiw_tune.text import counted
from adiw_tune.tracking import words

if TYPE_CHECKING:
    from adiw_tune.search.finalize import Reading


def decision_text(decision: Decision, metric: Metric = ACCURACY) -> str:
    """Whether weighting is worth it, the pick, how sure it is, why, and what the others reached."""
    verdict = [] if decision.verdict is None else [decision.verdict]
    baseline = " and baseline" if decision.baselines else ""
    lines = [
        *verdict,
        _pick(decision),
        f"  trial {decision.number} ({decision.trial}): {_value(decision, metric)} "
        f"on the select split, {words.cost(decision.work_s, decision.retimed_s)}",
        f"  why: {decision.reason} (policy {decision.rule})",
        f"  the best of each divergence{baseline}:",
        *aligned([_standing(best, metric) for best in decision.best_per_divergence]),
    ]
    return "\n".join(lines)


def meanings(decision: Decision, metric: Metric = ACCURACY, seconds: bool = True) -> str:
    """What the words of :func:`decision_text` mean.

    Args:
        decision: of which it tells.
        metric: that of the search.
        seconds: whether to tell of work and timed alone too, which a front's table also does.
    """
    timed = any(best["retimed_s"] is not None for best in decision.best_per_divergence)
    of_seconds = ["work", *["timed alone"] * timed] if seconds else []
    of_choice = ["policy", *["P(chosen)"] * bool(decision.p_chosen)]
    return "\n".join(words.meaning(some, metric) for some in (of_choice, of_seconds) if some)


def _pick(decision: Decision) -> str:
    provisional = " (provisional)" if decision.provisional else ""
    plain = words.PLAIN.get(decision.divergence)
    name = "best divergence" if plain is None else "pick"
    what = "" if plain is None else f" ({plain})"
    return f"{name}: {decision.divergence}{what}{provisional}"


def _value(decision: Decision, metric: Metric) -> str:
    value = f"{metric.name} {metric.text(decision.value)}"
    if decision.interval is None:
        return value
    return f"{value} {metric.interval_text(decision.interval)} over {decision.seeds} seeds"


def _standing(best: dict[str, Any], metric: Metric) -> list[str]:
    """A line of the table of divergences, in cells."""
    rerun, p_chosen = best["interval"] is not None, best["p_chosen"]
    return [
        best["divergence"],
        metric.text(best["value"]),
        metric.interval_text(best["interval"]) if rerun else "",
        "" if p_chosen is None else f"P(chosen) {p_chosen:.0%}",
        counted(best["seeds"], "seed") if rerun else "",
        words.cost(best["work_s"], best["retimed_s"]),
        f"{best['trial']}, best of {counted(best['trials'], 'trial')}",
    ]


def reading_text(reading: "Reading", metric: Metric = ACCURACY) -> str:
    """What the test split said, beside what the search said."""
    value = metric.text(reading.value)
    if reading.interval is not None:
        value += f" {metric.interval_text(reading.interval)}"
    lines = [
        f"test {metric.name} {value} on {reading.rows} rows: {reading.divergence}, "
        f"trial {reading.trial}"
    ]
    if reading.left_out:
        without = "the interval leaves them out" if reading.interval else "no interval"
        lines.append(
            f"  {reading.left_out} of {reading.resamples} resamples of these rows have no value: "
            f"{without}"
        )
    lines.append(f"  on the select split the search gave {metric.text(reading.select)}")
    if reading.reading > 1:
        lines.append(f"  this was reading {reading.reading} of the test split, which is recorded")
    return "\n".join(lines)
