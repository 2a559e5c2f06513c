from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adiw_tune.metrics import METRICS
from adiw_tune.search.rungs import ETA, FIRST_RUNG, Rungs, non_dominated_ranks

# Few distinct values, so that ties and duplicates are common.
points = st.lists(
    st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.sampled_from([1.0, 2.0, 3.5, 8.0])),
    min_size=1,
    max_size=14,
)


@st.composite
def searches(draw: st.DrawFn) -> list[tuple[str, str, int, int, float, float]]:
    """Reports of trials that run at once, each its epochs in order, to their full course."""
    courses = draw(
        st.lists(st.tuples(st.sampled_from(["mmd", "kl"]), st.integers(1, 20)), max_size=12)
    )
    epochs = [trial for trial, (_, total) in enumerate(courses) for _ in range(total)]
    done: dict[int, int] = {}
    reports = []
    for trial in draw(st.permutations(epochs)):
        done[trial] = done.get(trial, 0) + 1
        divergence, total = courses[trial]
        accuracy = draw(st.sampled_from([0.1, 0.2, 0.5, 0.9]))
        work_s = done[trial] * (1.0 + trial % 3)
        reports.append((f"t{trial}", divergence, done[trial], total, accuracy, work_s))
    return reports


def told(rungs: Rungs, reports: list[tuple[str, str, int, int, float, float]]) -> list[Any]:
    """Reports with their answers; a trial that was told to stop reports no more."""
    stopped: set[str] = set()
    answers = []
    for report in reports:
        if report[0] not in stopped:
            answers.append((report, rungs.report(*report)))
            if not answers[-1][1]:
                stopped.add(report[0])
    return answers


def at_first_rung(rungs: Rungs, coming: list[tuple[float, float]]) -> list[bool]:
    return [rungs.report(f"t{i}", "mmd", FIRST_RUNG, 99, *point) for i, point in enumerate(coming)]


def dominates(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return a[0] >= b[0] and a[1] <= b[1] and a != b


@given(points)
def test_the_ranks_peel_one_front_after_the_other(coming: list[tuple[float, float]]) -> None:
    left = dict(enumerate(coming))
    expected = {}
    for rank in range(len(coming)):
        front = [
            i for i, p in left.items() if not any(dominates(other, p) for other in left.values())
        ]
        expected |= dict.fromkeys(front, rank)
        left = {i: p for i, p in left.items() if i not in front}
    ranks = non_dominated_ranks(np.array(coming))
    assert list(ranks) == [expected[i] for i in range(len(coming))]


@given(points)
def test_what_is_on_the_front_of_its_rung_is_not_cut(coming: list[tuple[float, float]]) -> None:
    for i, goes_on in enumerate(at_first_rung(Rungs(), coming)):
        if not any(dominates(other, coming[i]) for other in coming[:i]):
            assert goes_on


@given(points)
def test_a_trial_goes_on_if_few_are_of_better_rank(coming: list[tuple[float, float]]) -> None:
    for i, goes_on in enumerate(at_first_rung(Rungs(), coming)):
        ranks = non_dominated_ranks(np.array(coming[: i + 1]))
        better = sum(rank < ranks[-1] for rank in ranks)
        assert goes_on == (i + 1 < ETA or better < (i + 1) / ETA)


@given(searches())
def test_the_last_epoch_cuts_nobody(
    reports: list[tuple[str, str, int, int, float, float]],
) -> None:
    for (_, _, epoch, epochs, _, _), goes_on in told(Rungs(), reports):
        assert goes_on or epoch < epochs


@given(searches())
def test_trials_are_cut_at_rungs_only_and_told_so_once(
    reports: list[tuple[str, str, int, int, float, float]],
) -> None:
    rungs = Rungs()
    stopped = {r[0]: r[2] for r, goes_on in told(rungs, reports) if not goes_on}
    assert rungs.cut == stopped
    assert set(stopped.values()) <= {FIRST_RUNG * ETA**k for k in range(5)}


@given(searches(), st.sampled_from(["mmd", "kl"]))
def test_one_that_dominates_all_others_is_never_cut(
    reports: list[tuple[str, str, int, int, float, float]], divergence: str
) -> None:
    star = [("star", divergence, epoch, 20, 0.95, 0.5 * epoch) for epoch in range(1, 21)]
    merged = sorted(reports + star, key=lambda report: report[2])  # stable: epochs keep in order
    answers = told(Rungs(), merged)
    assert [goes_on for report, goes_on in answers if report[0] == "star"] == [True] * 20


@given(points, st.randoms(use_true_random=False))
def test_the_answer_to_the_last_does_not_depend_on_the_order_of_those_before(
    coming: list[tuple[float, float]], random: Any
) -> None:
    shuffled = coming[:-1]
    random.shuffle(shuffled)
    last = at_first_rung(Rungs(), coming)[-1]
    assert at_first_rung(Rungs(), [*shuffled, coming[-1]])[-1] == last


@given(searches(), st.data())
def test_a_report_made_again_gives_the_same_answer_and_adds_nothing(
    reports: list[tuple[str, str, int, int, float, float]], data: st.DataObject
) -> None:
    plain, repeating = Rungs(), Rungs()
    expected = told(plain, reports)
    for place, (report, goes_on) in enumerate(expected):
        assert repeating.report(*report) == goes_on
        again, answer = expected[data.draw(st.integers(0, place))]
        assert repeating.report(*again[:4], 0.3, again[5]) == answer
    assert repeating.cut == plain.cut


def test_of_a_metric_that_is_to_be_small_the_smaller_go_on() -> None:
    config, loss = {"divergence": "mmd", "epochs": 9}, METRICS["log_loss"]

    def goes_on(rungs: Rungs, trial: str, value: float | None) -> bool:
        epoch = {"epoch": FIRST_RUNG, "log_loss": value, "work_s": 1.0}
        return rungs.told(trial, config, epoch, loss)

    rungs = Rungs()
    assert [goes_on(rungs, f"t{n}", v) for n, v in enumerate((0.5, 0.3, 0.2, 0.9))][-1] is False
    assert goes_on(rungs, "t4", 0.1)
    assert goes_on(rungs, "t5", None)  # nothing is known against it
    assert [*rungs.cut] == ["t3"]


def events_of(
    answers: list[tuple[tuple[str, str, int, int, float, float], bool]],
) -> list[dict[str, Any]]:
    """What a search writes down: a cut trial's end comes with its last epoch."""
    events: list[dict[str, Any]] = [{"event": "session", "commit": "abc"}]
    begun: set[str] = set()
    for (trial, divergence, epoch, epochs, accuracy, work_s), goes_on in answers:
        if trial not in begun:
            begun.add(trial)
            config = {"divergence": divergence, "epochs": epochs}
            events.append({"event": "trial", "trial": trial, "kind": "search", "config": config})
        reported = {"epoch": epoch, "metrics": {"accuracy": accuracy}, "work_s": work_s}
        events.append({"event": "epoch", "trial": trial, **reported})
        if not goes_on or epoch == epochs:
            status = "finished" if goes_on else "pruned"
            rung = None if goes_on else epoch
            if rung:
                events.append({"event": "cut", "trial": trial, "rung": rung})
            events.append({"event": "end", "trial": trial, "status": status, "rung": rung})
    return events


@given(searches(), st.floats(0, 1))
def test_rungs_replayed_from_the_log_go_on_as_those_that_were_lost(
    reports: list[tuple[str, str, int, int, float, float]], share: float
) -> None:
    live = Rungs()
    answers = told(live, reports)
    seen = answers[: round(share * len(answers))]
    replayed = Rungs.replayed(events_of(seen))
    for report, goes_on in answers[len(seen) :]:
        assert replayed.report(*report) == goes_on
    assert replayed.cut == live.cut


def test_a_cut_that_was_not_written_down_before_a_kill_is_made_again() -> None:
    coming = [(0.9, 1.0), (0.8, 2.0), (0.7, 3.0), (0.6, 4.0)]
    live = Rungs()
    answers = at_first_rung(live, coming)
    assert answers == [True, True, False, False]
    reports = [(f"t{i}", "mmd", FIRST_RUNG, 99, *point) for i, point in enumerate(coming)]
    events = [
        e
        for e in events_of(list(zip(reports, answers, strict=True)))
        if e["event"] not in ("cut", "end")
    ]
    replayed = Rungs.replayed(events)
    assert replayed.cut == {"t2": FIRST_RUNG, "t3": FIRST_RUNG}
    assert replayed.report("t2", "mmd", 1, 99, 0.1, 1.5), "from its start, as it had no checkpoint"
    assert not replayed.report("t2", "mmd", FIRST_RUNG + 1, 99, 0.9, 4.5), "from its checkpoint"


def test_what_happened_stands_whatever_the_rungs_would_say_today() -> None:
    coming = [(0.9, 1.0), (0.8, 2.0), (0.7, 3.0), (0.6, 4.0)]
    reports = [(f"t{i}", "mmd", FIRST_RUNG, 99, *point) for i, point in enumerate(coming)]
    events = events_of([(report, True) for report in reports])
    events.append({"event": "cut", "trial": "t0", "rung": 1})
    for trial, status, rung in (("t0", "pruned", 1), ("t2", "finished", None)):
        events.append({"event": "end", "trial": trial, "status": status, "rung": rung})
    assert Rungs.replayed(events).cut == {"t0": 1, "t3": FIRST_RUNG}


def test_reruns_stand_at_no_rung() -> None:
    reports = [(f"t{i}", "mmd", FIRST_RUNG, 99, 0.9 - i / 10, 1.0) for i in range(4)]
    events = events_of([(report, True) for report in reports])
    for event in events:
        if event["event"] == "trial":
            event["kind"] = "seed"
    rungs = Rungs.replayed(events)
    assert rungs.cut == {}
    assert rungs.report("new", "mmd", FIRST_RUNG, 99, 0.1, 9.0), "the first there"


def test_each_divergence_has_rungs_of_its_own() -> None:
    rungs = Rungs()
    at_first_rung(rungs, [(0.9, 1.0)] * 10)
    assert rungs.report("slow", "kl", FIRST_RUNG, 99, 0.1, 9.0)
    assert not rungs.report("late", "mmd", FIRST_RUNG, 99, 0.1, 9.0)


@pytest.mark.parametrize(("first", "eta", "expected"), [(1, 3, [1, 3, 9]), (3, 2, [3, 6, 12])])
def test_the_rungs_stand_eta_times_apart(first: int, eta: int, expected: list[int]) -> None:
    cut_at = []
    for epoch in range(1, 20):
        rungs = Rungs(first, eta)
        for i in range(eta):
            rungs.report(f"t{i}", "mmd", epoch, 99, 0.9, 1.0)
        if not rungs.report("bad", "mmd", epoch, 99, 0.1, 9.0):
            cut_at.append(epoch)
    assert cut_at == expected
