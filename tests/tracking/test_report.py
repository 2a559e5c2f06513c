import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from adiw_tune.tracking.artifacts import write_artifacts
from adiw_tune.tracking.description import describe
from adiw_tune.tracking.outcome import Outcome

from .helpers import COMMAND, FakeSearch, make_search

EVIL = "<img src=x onerror=alert(1)> & $a$ | b"


def report(outcome: Outcome, folder: Path, name: str = "digits") -> str:
    write_artifacts(name, outcome, folder)
    return (folder / "report.html").read_text()


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    return report(make_search().outcome, tmp_path_factory.mktemp("report"))


def text_of(html: str) -> str:
    without_scripts = re.sub(r"<(script|style).*?</\1>", "", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", without_scripts).split())


def tags_of(html: str) -> set[str]:
    found: set[str] = set()

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.add(tag)

    Tags().feed(html)
    return found


def test_the_report_says_what_was_picked_and_on_what_evidence(html: str) -> None:
    text = text_of(html)
    assert "accuracy 0.8400 [0.8300, 0.8500] in 5.00 s of work" in text
    assert "5.00 s of work, timed alone 5.50 s" in text
    assert "P(chosen) = 0.90, from reruns of each finalist over 2 paired seeds" in text
    assert "work: seconds of training and weight steps, each counted at what it takes alone" in text
    assert "policy: the rule by which accuracy and work pick one trial" in text
    assert COMMAND in text


def test_losers_and_failures_stand_in_it_with_their_reasons(html: str) -> None:
    rows = text_of(html.rpartition("<h2>All trials</h2>")[2])
    assert set(re.findall(r"\bt\d\b", rows)) == {f"t{number}" for number in range(8)}
    assert "cut by the scheduler after epoch 2: cut at rung 2" in rows
    assert "stopped: the budget was spent" in rows
    assert "failed: weights became NaN" in rows


def test_it_loads_nothing_and_holds_plotly_once(html: str) -> None:
    assert not re.search(r"<(script|link|img|iframe)[^>]*\s(src|href)=", html)
    assert len(html) < 7_000_000
    assert html.count("<section class='figure'>") == 5


def test_what_users_write_is_shown_and_does_nothing(search: FakeSearch, tmp_path: Path) -> None:
    trials = search.outcome.trials.replace("erm", EVIL).assign(network=EVIL)
    trials["reason"] = EVIL
    decision = {**(search.outcome.decision or {}), "divergence": EVIL, "reason": EVIL}
    entries = [{**entry, "divergence": EVIL} for entry in decision["best_per_divergence"]]
    outcome = replace(
        search.outcome,
        trials=trials,
        curves=search.outcome.curves.replace("erm", EVIL),
        importance=search.outcome.importance.replace("steps", EVIL),
        decision={**decision, "best_per_divergence": entries},
        winner_command=EVIL,
    )
    html = report(outcome, tmp_path, name=EVIL)
    assert "img" not in tags_of(html)
    assert "&lt;img src=x" in html
    lines = [
        line
        for line in describe(outcome, "front.png", "rows.html").splitlines()
        if not line.startswith("    ")
    ]
    assert "\\<img" in "".join(lines)
    assert "<img" not in "".join(lines).replace("\\<img", "")


@pytest.mark.parametrize("status", ["failed", "stopped"])
def test_nothing_finished_is_said(search: FakeSearch, tmp_path: Path, status: str) -> None:
    outcome = search.without_decision(status)
    assert "No trial finished" in text_of(report(outcome, tmp_path))
    assert f"Trials: 8 (8 {status})." in describe(outcome, "front.png", "rows.html")


def test_the_description_shows_decision_divergences_and_front(search: FakeSearch) -> None:
    text = describe(search.outcome, "front.png", "rows.html")
    first, _, second, *_ = text.splitlines()
    assert first == (
        "**Weighting does not help here: train with erm (weighting gains -2.0 points "
        "\\[-2.5, 0.5\\] over erm at 1.8 times its work).**"
    )
    assert second == (
        "**erm**, plain training on the training rows (trial `t7`): accuracy 0.8400 "
        "[0.8300, 0.8500] in 5.00 s of work, timed alone 5.50 s."
    )
    assert "1 cut by the scheduler" in text
    assert "| energy | 0.10 |" in text
    assert "| mmd | – |" in text  # it was not rerun
    assert "policy: the rule by which accuracy and work pick one trial" in text
    assert "| **erm** | **0.8400** | **0.8400** | **5.00** |" in text  # over seeds, too
    assert len(text) < 8000


def changed(search: FakeSearch, **fields: object) -> Outcome:
    return replace(search.outcome, decision={**(search.outcome.decision or {}), **fields})


def test_a_tie_is_said_once_and_a_provisional_pick_is_said(search: FakeSearch) -> None:
    tied = {"tie": True, "tied": ["energy"], "reason": "it cannot be told from energy: a tie"}
    text = describe(changed(search, **tied, provisional=True, seeds=0), "front.png", "rows.html")
    assert text.count(" tie") == 1
    assert "no trial ran its full course" in text
    assert "From single runs" in text


def test_without_baselines_the_pick_comes_first(search: FakeSearch, tmp_path: Path) -> None:
    none = dict.fromkeys(("gain", "gain_interval", "gain_over", "worth_it", "verdict"))
    outcome = changed(search, **none, baselines=[], divergence="near.py")
    text = describe(outcome, "front.png", "rows.html")
    assert text.startswith("**near.py** (trial `t7`): accuracy 0.8400")
    assert "### Each divergence\n" in text
    html = report(outcome, tmp_path)
    assert "<p class='verdict'>" not in html
    assert "<h2>Each divergence</h2>" in html


def test_the_report_opens_with_what_weighting_gains(html: str) -> None:
    text = text_of(html.partition("<h1>")[2])
    assert text.removeprefix("digits ").startswith(
        "Weighting does not help here: train with erm (weighting gains -2.0 points [-2.5, 0.5] "
        "over erm at 1.8 times its work). erm plain training on the training rows, trial t7 "
        "accuracy 0.8400"
    )
    assert "Each divergence and baseline" in text


def test_the_pick_is_among_the_front_also_if_it_is_not_on_it(
    search: FakeSearch, tmp_path: Path
) -> None:
    outcome = changed(search, divergence="mmd", trial="t2", number=2)
    text = describe(outcome, "front.png", "rows.html")
    assert "| **mmd** | **0.7400** | **–** |" in text  # it was not rerun
    assert "`t2`, the pick, is not on the front." in text
    front = report(outcome, tmp_path).rpartition("<h2>The front")[2].partition("<h2>All")[0]
    assert front.count("<tr class=marked>") == 1
    assert "Shaded: the pick, which is not on the front." in front
    assert re.findall(r"\bt\d\b", text_of(front)) == ["t7", "t6", "t2"]  # by work
    assert "t2" not in (tmp_path / "front.csv").read_text().split(",")


def test_a_long_front_stays_within_what_mlflow_takes(search: FakeSearch) -> None:
    trials = search.outcome.trials
    many = trials.loc[trials.index.repeat(40)].assign(on_front=True)
    many["trial"] = [f"t{number}" for number in range(len(many))]
    text = describe(replace(search.outcome, trials=many), "front.png", "rows.html")
    assert len(text) < 8000
    assert "299 more are in `front.csv`" in text  # beside 20 and the pick
