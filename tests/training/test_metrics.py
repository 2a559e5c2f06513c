"""Which metrics a run reports, a task's own among them, and which it can be judged by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from adiw_tune.errors import UserError
from adiw_tune.tasks import Split, find_task, main_metric
from adiw_tune.tasks.contract import check_task
from adiw_tune.training import TrainingRun, TrialConfig

TASK = """
import torch
from torch import nn

REFERENCE_SIZE = SELECT_SIZE = 60

def rows(count, seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) * 2 // count  # in order
    inputs = torch.randn(count, 3, generator=generator) + labels[:, None]
    return inputs, labels, torch.randint(3, (count,), generator=generator)

def train():
    return rows(400, 0)

def test():
    return rows(100, 1)

def model():
    return nn.Linear(3, 2)
"""
OWN = """
def metric(outputs, targets, groups):
    assert outputs.shape == (len(targets), 2) and outputs.dtype == torch.float32
    wrong = (outputs.argmax(1) != targets).float()
    targets.zero_()  # of a copy
    return wrong[groups == 1].mean()

GREATER_IS_BETTER = False
"""


def written(folder: Path, more: str = "") -> str:
    path = folder / "mine.py"
    path.write_text(TASK + more)
    return str(path)


def run_of(task: str) -> TrainingRun:
    return TrainingRun(TrialConfig(task=task, epochs=2, batch_size=64))


def test_each_epoch_reports_all_that_apply(tmp_path: Path) -> None:
    run = run_of(written(tmp_path, OWN))
    report = run.run_epoch()
    assert [*report.metrics] == [
        "accuracy",
        "balanced_accuracy",
        "macro_f1",
        "auroc",
        "average_precision",
        "worst_group_accuracy",
        "log_loss",
        "metric",
    ]
    assert report.metrics == run.metrics(run.splits.select)
    select = run.splits.select
    assert isinstance(select, Split)
    with torch.no_grad():
        wrong = run.network(select.inputs).argmax(1) != select.labels
    assert report.metrics["metric"] == pytest.approx(wrong[select.groups == 1].float().mean())


def test_rows_without_groups_have_no_worst_group() -> None:
    assert "worst_group_accuracy" not in run_of("digits").metrics(run_of("digits").splits.select)


def test_a_run_is_judged_by_what_is_asked_for_else_by_what_the_task_says(tmp_path: Path) -> None:
    for more, asked, name, greater in (
        ("", None, "accuracy", True),
        ("METRIC = 'log_loss'\n", None, "log_loss", False),
        ("METRIC = 'log_loss'\n", "macro_f1", "macro_f1", True),
        (OWN, None, "metric", False),
        (OWN + "METRIC = 'auroc'\n", None, "auroc", True),
        (OWN + "METRIC = 'auroc'\n", "metric", "metric", False),
    ):
        run = run_of(written(tmp_path, more))
        metric = main_metric(asked, find_task(run.config.task), run.splits)
        assert (metric.name, metric.greater_is_better) == (name, greater)
        (tmp_path / "mine.py").unlink()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("f2", "unknown metric 'f2'"),
        ("rmse", "metric 'rmse' does not apply to targets of kind classes"),
        ("metric", "metric 'metric' is not defined by task 'digits'"),
        (
            "worst_group_accuracy",
            "needs groups, which the select rows of task 'digits' do not have",
        ),
    ],
)
def test_what_the_rows_cannot_give_is_refused(asked: str, told: str) -> None:
    run = run_of("digits")
    with pytest.raises(UserError, match=told) as refused:
        main_metric(asked, find_task("digits"), run.splits)
    assert "choose one of accuracy, balanced_accuracy, macro_f1" in str(refused.value)


@pytest.mark.parametrize("role", ["select", "test"])
def test_so_is_one_of_which_the_select_or_the_test_rows_have_no_value(role: str) -> None:
    splits = run_of("digits").splits
    rows = getattr(splits, role)
    one_class = rows.take(torch.nonzero(rows.labels == 3)[:, 0])
    told = f"'auroc' has no value on the {len(one_class)} {role} rows"
    with pytest.raises(UserError, match=told) as refused:
        main_metric("auroc", find_task("digits"), replace(splits, **{role: one_class}))
    assert str(refused.value).endswith(
        "choose one of accuracy, balanced_accuracy, macro_f1, log_loss"
    )


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("METRIC = 'f2'\n", "METRIC in '.*': unknown metric 'f2'"),
        ("METRIC = 'metric'\n", "METRIC in '.*' is 'metric': define metric\\(\\)"),
        ("metric = 0.5\n", "'metric' in task file '.*' must be a function"),
        (
            "GREATER_IS_BETTER = False\n",
            "GREATER_IS_BETTER in '.*' needs metric\\(\\), which the file does not define",
        ),
        (
            "METRIC = 'accuracy'\nGREATER_IS_BETTER = True\n",
            "define metric\\(\\), or leave GREATER_IS_BETTER out",
        ),
        (OWN + "GREATER_IS_BETTER = 1\n", "GREATER_IS_BETTER in '.*' must be True or False; got 1"),
    ],
)
def test_what_a_task_file_says_amiss_is_refused(tmp_path: Path, more: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        find_task(written(tmp_path, more))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return float('nan')", "metric\\(\\) gives nan for the select rows' targets"),
        ("return [1]", "metric\\(\\) of '.*' gives list: give a float"),
        ("return outputs", r"metric\(\) of '.*' gives Tensor \[\d+, 2\]: give"),
        ("return '0.7'", "metric\\(\\) of '.*' gives str: give a float"),
        ("return True", "metric\\(\\) of '.*' gives bool: give a float"),
        ("return (targets >= 0).all()", r"metric\(\) of '.*' gives bool: give a float"),
        ("return (targets >= 0).all().numpy()[()]", "metric\\(\\) of '.*' gives bool"),
        ("return 10**400", "metric\\(\\) of '.*' gives an int too large for a float"),
        ("return outputs.item()", "metric\\(\\) of '.*' fails: RuntimeError: .*\\(line 2"),
    ],
)
def test_an_own_metric_is_tried_before_training(tmp_path: Path, body: str, told: str) -> None:
    task = written(tmp_path, f"def metric(outputs, targets, groups):\n    {body}\n")
    with pytest.raises(UserError, match=told):
        run_of(task)
    (problem,) = check_task(find_task(task))
    assert problem


@pytest.mark.parametrize(
    "value", ["1", "numpy.float32(1)", "numpy.int64(1)", "numpy.array(1.0)", "torch.tensor(1)"]
)
def test_an_own_metric_may_give_any_real_number(tmp_path: Path, value: str) -> None:
    body = f"    import numpy\n    return {value}\n"
    task = written(tmp_path, f"def metric(outputs, targets, groups):\n{body}")
    assert run_of(task).run_epoch().metrics["metric"] == 1


TEST_OF_ONE_CLASS = """
def test():
    return rows(40, 1)[0], torch.zeros(40, dtype=torch.int64)
"""


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (TEST_OF_ONE_CLASS + "METRIC = 'auroc'\n", "'auroc' has no value on the 40 test rows"),
        (
            TEST_OF_ONE_CLASS + "METRIC = 'worst_group_accuracy'\n",
            "'worst_group_accuracy' needs groups, which the test rows of task",
        ),
        ("METRIC = 'rmse'\n", "'rmse' does not apply to targets of kind classes"),
        (
            TEST_OF_ONE_CLASS
            + "def metric(outputs, targets, groups):\n    return 1 / int(targets.sum())\n",
            "for the test rows' targets and outputs of this network, metric() of",
        ),
        (
            "TARGETS = 'own'\ndef loss(outputs, targets):\n"
            "    return nn.functional.cross_entropy(outputs, targets, reduction='none')\n",
            "has targets of kind own, to which no built-in metric applies: define metric(outputs, ",
        ),
    ],
)
def test_check_task_reports_a_metric_undefined_on_test_rows(
    tmp_path: Path, more: str, told: str
) -> None:
    (problem,) = check_task(find_task(written(tmp_path, more)))
    assert told in problem
    assert "\n" not in problem


def test_one_that_needs_both_classes_is_not_tried_on_rows_of_one(tmp_path: Path) -> None:
    """The first training rows, on which the network is tried, are all of class 0."""
    more = """
def metric(outputs, targets, groups):
    from sklearn.metrics import roc_auc_score
    return roc_auc_score(targets, outputs[:, 1] - outputs[:, 0])
"""
    metrics = run_of(written(tmp_path, more)).run_epoch().metrics
    assert metrics["metric"] == pytest.approx(metrics["auroc"])


def test_misspelt_names_are_remarked_on(tmp_path: Path) -> None:
    more = "METRICS = 'macro_f1'\n\ndef metrics(outputs, targets, groups):\n    return 0.5\n"
    remarks = [*find_task(written(tmp_path, more)).remarks]
    assert remarks == [
        "METRICS means nothing in a task file: did you mean METRIC?",
        "metrics() means nothing in a task file: did you mean metric?",
    ]
