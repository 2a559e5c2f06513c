from __future__ import annotations

from pathlib import Path

import pytest

from adiw_tune.search.importance import importance
from adiw_tune.search.programme import Begin
from adiw_tune.search.proposals import Proposer
from adiw_tune.search.space import SpaceFile

from .made_up import SPACE, Story


def finished(folder: Path, accuracy: list[float], space: str = SPACE) -> Story:
    """Trials of a space with these accuracies; work grows with the steps."""
    (folder / "space.py").write_text(space)
    story, proposer = Story(folder), Proposer(SpaceFile(folder / "space.py", 0), 0, 40)
    for number, reached in enumerate(accuracy):
        made = proposer.propose(story.history())
        chosen = (made.config, made.params, made.distributions)
        story.begins(Begin(f"t{number}", number, "search", None, *chosen))
        story.ends(f"t{number}", accuracy=reached, work_s=float(made.config["steps"]))
    return story


def test_what_explains_work_has_most_of_it(tmp_path: Path) -> None:
    table = importance(finished(tmp_path, [0.5 + 0.01 * n for n in range(12)]).history())
    assert set(table["parameter"]) == {"divergence", "steps", "epochs"}
    assert table.set_index("parameter")["work_s"].idxmax() == "steps"
    assert table[["accuracy", "work_s"]].sum().tolist() == pytest.approx([1.0, 1.0])


def test_an_accuracy_that_all_trials_reach_is_explained_by_nothing(tmp_path: Path) -> None:
    table = importance(finished(tmp_path, [1.0] * 12).history()).set_index("parameter")
    assert table["accuracy"].tolist() == [0.0, 0.0, 0.0]
    assert table["work_s"].sum() == pytest.approx(1.0)


def test_a_range_beyond_float32_is_left_out(tmp_path: Path) -> None:
    wide = 'trial.suggest_float("wide", -1e40, 1e40)\n    return {'
    story = finished(tmp_path, [0.5 + 0.01 * n for n in range(12)], SPACE.replace("return {", wide))
    assert set(importance(story.history())["parameter"]) == {"divergence", "steps", "epochs"}


def test_few_trials_explain_nothing(tmp_path: Path) -> None:
    assert importance(finished(tmp_path, [0.5, 0.6]).history()).empty
