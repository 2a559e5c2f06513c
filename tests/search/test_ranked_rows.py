"""What several runs say of the training rows, taken together."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from adiw_tune.errors import UserError
from adiw_tune.record.record import SearchRecord
from adiw_tune.search.programme import Begin
from adiw_tune.search.rows import ranked, ranked_rows
from adiw_tune.training import TrialConfig
from adiw_tune.training.row_scores import ScoredRows

from .made_up import SPACE, Story, settings

ROWS = ScoredRows(
    number=torch.tensor([10, 4, 7]),
    label=torch.tensor([0, 1, 2]),
    weight=torch.tensor([0.0, 1.0, 2.0]),
    fit=torch.tensor([-0.5, 0.5, 1.0]),
    predicted=torch.tensor([1, 1, 2]),
    confidence=torch.tensor([0.9, 0.7, 1.0]),
)
# Row 7 has another label there, row 10 is no training row, and row 3 is none of the first run's.
OTHER = ScoredRows(
    number=torch.tensor([3, 4, 7]),
    label=torch.tensor([0, 1, 0]),
    weight=torch.tensor([9.0, 3.0, 9.0]),
    fit=torch.tensor([-9.0, -2.5, -9.0]),
    predicted=torch.tensor([0, 0, 1]),
    confidence=torch.tensor([0.1, 0.5, 0.1]),
)


def record_of(folder: Path) -> tuple[SearchRecord, Story]:
    (folder / "space.py").write_text(SPACE)
    record = SearchRecord.create(folder, settings(folder=folder, name="s"), folder / "space.py")
    return record, Story(record.folder)


def ran(
    record: SearchRecord,
    story: Story,
    trial: str,
    kind: str,
    rows: ScoredRows | None,
    **config: object,
) -> None:
    """A run of ``kind`` to its end, which leaves ``rows``."""
    of = None if kind == "search" else trial.split("-")[0]
    values = {**TrialConfig.defaults(), "epochs": 3, **config}
    story.begins(Begin(trial, int(trial[1]), kind, of, values))
    story.log.append("checkpoint", trial=trial, epoch=3, path=f"0/{trial}")
    if rows is not None:
        content = io.BytesIO()
        torch.save(rows.as_dict(), content)
        record.checkpoints.write(f"0/{trial}/rows.pt", content.getvalue())
    story.ends(trial)


def test_one_run_ranks_rows_by_how_little_their_labels_fit() -> None:
    found = ranked("t0", ROWS)
    assert found.number.tolist() == [10, 4, 7]
    assert found.fit.tolist() == [-0.5, 0.5, 1.0]
    assert found.runs.tolist() == [1, 1, 1]
    assert found.take(slice(1)).number.tolist() == [10]


def test_runs_count_for_the_rows_that_they_had_with_the_same_label(tmp_path: Path) -> None:
    record, story = record_of(tmp_path)
    ran(record, story, "t0", "search", None)
    ran(record, story, "t0-seed0", "seed", OTHER)
    ran(record, story, "t0-winner", "winner", ROWS)
    found = ranked_rows(record)
    assert found.trial == "t0"
    assert found.number.tolist() == [4, 10, 7]  # row 4 by the mean of 0.5 and -2.5
    assert found.fit.tolist() == [-1.0, -0.5, 1.0]
    assert found.weight.tolist() == [2.0, 0.0, 2.0]
    assert found.runs.tolist() == [2, 1, 1]
    assert found.label.tolist() == [1, 0, 2]
    assert found.confidence is not None
    assert found.confidence.tolist() == pytest.approx([0.6, 0.9, 1.0])
    assert found.predicted is not None
    assert found.predicted.tolist() == [1, 1, 2]  # of two that disagree, the first's


def test_what_most_runs_say_is_the_prediction(tmp_path: Path) -> None:
    record, story = record_of(tmp_path)
    ran(record, story, "t0", "search", None)
    for seed in range(3):
        said = torch.tensor([1, 1, 2 if seed == 0 else 0])
        rows = ScoredRows(**{**vars(ROWS), "predicted": said})
        ran(record, story, f"t0-seed{seed}", "seed", rows, seed=seed)
    found = ranked_rows(record)
    assert found.predicted is not None
    assert dict(zip(found.number.tolist(), found.predicted.tolist(), strict=True))[7] == 0


def test_a_run_without_a_row_has_no_say_in_it(tmp_path: Path) -> None:
    record, story = record_of(tmp_path)
    ran(record, story, "t0", "search", None)
    ran(record, story, "t0-seed0", "seed", ROWS)
    for seed in (1, 2, 3):
        ran(record, story, f"t0-seed{seed}", "seed", OTHER, seed=seed)
    found = ranked_rows(record)
    assert found.predicted is not None
    said = dict(zip(found.number.tolist(), found.predicted.tolist(), strict=True))
    assert said == {10: 1, 4: 0, 7: 2}


def test_of_several_labels_a_row_each_is_what_most_runs_say(tmp_path: Path) -> None:
    record, story = record_of(tmp_path)
    ran(record, story, "t0", "search", None)
    labels = torch.ones(3, 2)
    for seed, said in enumerate(([1, 0], [0, 0], [0, 1])):
        predicted = torch.tensor([said] * 3, dtype=torch.uint8)
        rows = ScoredRows(**{**vars(ROWS), "label": labels, "predicted": predicted})
        ran(record, story, f"t0-seed{seed}", "seed", rows, seed=seed)
    found = ranked_rows(record)
    assert found.predicted is not None
    assert found.predicted.tolist() == [[0, 0]] * 3


def test_of_real_targets_it_is_the_mean(tmp_path: Path) -> None:
    record, story = record_of(tmp_path)
    ran(record, story, "t0", "search", None)
    for seed, rows in enumerate((ROWS, OTHER)):
        said = torch.tensor([[1.0], [2.0], [4.0]]) + seed
        rows = ScoredRows(**{**vars(rows), "predicted": said, "confidence": None})
        ran(record, story, f"t0-seed{seed}", "seed", rows, seed=seed)
    found = ranked_rows(record)
    assert found.predicted is not None
    said = dict(zip(found.number.tolist(), found.predicted.tolist(), strict=True))
    assert said == {10: [1.0], 4: [2.5], 7: [4.0]}
    assert found.confidence is None


def test_classes_keep_their_names(tmp_path: Path) -> None:
    record, story = record_of(tmp_path)
    ran(record, story, "t0", "search", None)
    ran(record, story, "t0-winner", "winner", replace(ROWS, names=("cat", "dog", "cow")))
    assert ranked_rows(record).names == ("cat", "dog", "cow")


def test_where_a_baseline_is_the_pick_the_best_weighted_trial_tells(tmp_path: Path) -> None:
    record, story = record_of(tmp_path)
    ran(record, story, "t0", "search", None, method="erm")
    ran(record, story, "t1", "search", None)
    story.log.append("epoch", trial="t0", epoch=4, metrics={"accuracy": 0.99}, work_s=3.0,
                     wall_s=1.0, loss=0.0, shares={})  # fmt: skip
    ran(record, story, "t1-rows", "rows", ROWS)
    assert ranked_rows(record).trial == "t1"


def test_a_search_that_has_nothing_to_tell_says_so(tmp_path: Path) -> None:
    record, story = record_of(tmp_path)
    ran(record, story, "t0", "search", None)
    with pytest.raises(
        UserError, match="search 's' is not over: run 'adiw-tune resume s --storage"
    ):
        ranked_rows(record)
    record.finish({})
    with pytest.raises(UserError, match="has no finished run of trial t0 with row scores"):
        ranked_rows(record)
    (tmp_path / "plain").mkdir()
    record, story = record_of(tmp_path / "plain")
    ran(record, story, "t0", "search", None, method="erm")
    record.finish({})
    with pytest.raises(UserError, match="has no weighted trial to rank the rows by"):
        ranked_rows(record)


def test_a_method_that_trains_on_other_rows_has_nothing_to_tell(tmp_path: Path) -> None:
    record, story = record_of(tmp_path)
    ran(record, story, "t0", "search", None, method="diw-published")
    ran(record, story, "t0-winner", "winner", None, method="diw-published")
    record.finish({})
    told = r"trial t0 of search 's' is diw-published, which merges .* --method adiw --rows FILE"
    with pytest.raises(UserError, match=told):
        ranked_rows(record)


def test_a_damaged_file_is_told_by_its_name(tmp_path: Path) -> None:
    record, story = record_of(tmp_path)
    ran(record, story, "t0", "search", None)
    ran(record, story, "t0-winner", "winner", ROWS)
    content = io.BytesIO()
    torch.save({**ROWS.as_dict(), "weight": ROWS.weight[:1]}, content)
    record.checkpoints.write("0/t0-winner/rows.pt", content.getvalue())
    with pytest.raises(
        UserError, match=r"t0-winner/rows.pt' is damaged: 'adiw-tune train --from s "
    ):
        ranked_rows(record)
    record.checkpoints.write("0/t0-winner/rows.pt", b"nothing")
    with pytest.raises(UserError, match=r"t0-winner/rows.pt' is damaged"):
        ranked_rows(record)
