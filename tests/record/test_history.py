from __future__ import annotations

from pathlib import Path

import pytest

from adiw_tune.arms import arm
from adiw_tune.errors import UserError
from adiw_tune.metrics import METRICS
from adiw_tune.record.history import History
from adiw_tune.record.log import EventLog
from adiw_tune.record.runs import end_whole_run
from adiw_tune.search.programme import Begin
from tests.search.made_up import Story, details, line


def test_the_table_follows_the_events(tmp_path: Path) -> None:
    story = Story(tmp_path)
    history = story.history()
    story.trial(0, accuracy=0.7, work_s=4.0)
    story.trial(1, "pruned", epochs=1)
    story.trial(2, "failed", epochs=0, reason="ValueError: no")
    table = history.refresh().trials().fillna({"reason": "-"})
    assert table[["trial", "divergence", "status", "epochs", "reason"]].values.tolist() == [
        ["t0", "mmd", "finished", 3, "-"],
        ["t1", "kl", "pruned", 1, "-"],
        ["t2", "mmd", "failed", 0, "ValueError: no"],
    ]
    first = history.trials().iloc[0]
    assert (first["accuracy"], first["work_s"], first["wall_s"]) == (0.7, 4.0, 8.0)
    assert history.trials()["rung"].tolist()[1] == 1


def test_only_whole_runs_are_on_the_front_and_every_epoch_is_on_a_curve(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.trial(0, accuracy=0.7, work_s=4.0)
    story.trial(1, "pruned", accuracy=0.9, work_s=0.1, epochs=2)
    history = story.history()
    assert history.front()["trial"].tolist() == ["t0"]
    assert history.curves().groupby("trial").size().to_dict() == {"t0": 3, "t1": 2}


def test_a_seed_over_which_training_diverged_is_told_from_one_that_was_lost(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.trial(0)
    config = story.history().runs["t0"].config
    for seed, reason in enumerate(("TrainingDivergedError: nan", "the process ended", None)):
        begin = Begin(f"t0-seed{seed}", 0, "seed", "t0", {**config, "seed": seed})
        story.begins(begin)
        story.ends(begin.trial, "failed" if reason else "finished", reason=reason)
    reruns = story.history().reruns()
    assert reruns["seed"].tolist() == [0, 2]
    assert reruns["accuracy"].isna().tolist() == [True, False]


def test_tables_have_the_metric_by_its_name_and_all_are_there_beside_it(tmp_path: Path) -> None:
    story, loss = Story(tmp_path), METRICS["log_loss"]
    story.trial(0, metric=loss.name, accuracy=0.5)
    config = story.history().runs["t0"].config
    for seed, value in enumerate((0.4, 0.6)):
        story.begins(Begin(f"t0-seed{seed}", 0, "seed", "t0", {**config, "seed": seed}))
        story.ends(f"t0-seed{seed}", metric=loss.name, accuracy=value)
    history = story.history(loss)
    assert history.front()["log_loss"].tolist() == [0.5]
    assert history.curves()["log_loss"].tolist() == [0.5] * 3
    assert history.reruns()["log_loss"].tolist() == [0.4, 0.6]
    assert history.metrics_of("t0") == {"log_loss": pytest.approx(0.5)}


def test_a_run_without_a_value_at_its_end_has_failed_and_does_not_count(tmp_path: Path) -> None:
    story, auroc = Story(tmp_path), METRICS["auroc"]
    story.trial(0, metric=auroc.name)
    config = story.history().runs["t0"].config
    for seed, value in enumerate((0.9, None, 0.7)):
        begin = Begin(f"t0-seed{seed}", 0, "seed", "t0", {**config, "seed": seed, "epochs": 1})
        story.begins(begin)
        story.log.append("epoch", **details("epoch", trial=begin.trial, metrics={"auroc": value}))
        end_whole_run(story.log, story.history().runs[begin.trial], auroc)
    history = story.history(auroc)
    assert history.reruns()["seed"].tolist() == [0, 2]
    run = history.runs["t0-seed1"]
    assert (run.status, run.reason) == (
        "failed",
        "auroc has no value on its select rows at the end",
    )
    assert history.metrics_of("t0") == {"auroc": pytest.approx(0.8)}


def test_time_between_sessions_is_not_spent(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(
        line("session", 100.0)
        + line("trial", 130.0)
        + line("test_read", 800.0)
        + line("extended", 900.0)
        + line("session", 1000.0)
    )
    assert History(EventLog(path)).spent_s(1007.0) == pytest.approx(37.0)


@pytest.mark.parametrize(
    ("config", "label"),
    [
        ({"method": "adiw", "divergence": "auto"}, "auto"),
        ({"method": "adiw", "divergence": "/home/me/near.py"}, "near.py"),
        ({"method": "giw", "divergence": "auto"}, "giw"),
        ({"divergence": "kl"}, "kl"),
    ],
)
def test_trials_are_compared_by_divergence_or_method(config: dict[str, str], label: str) -> None:
    assert arm(config) == label


@pytest.mark.parametrize(
    "lines",
    [
        '{"event": "end", "trial": "t7", "status": "finished", "reason": null, "time": 1.0}\n',
        '{"event": "trial", "trial": "t7", "time": 1.0}\n',
        '{"event": "session"}\n',
    ],
)
def test_a_log_that_lacks_something_is_called_damaged(tmp_path: Path, lines: str) -> None:
    (tmp_path / "events.jsonl").write_text(lines)
    with pytest.raises(UserError, match=r"events.jsonl' is damaged: the \w+ that ends at byte \d+"):
        History(EventLog(tmp_path / "events.jsonl"))


@pytest.mark.parametrize("torn", [b"", b'{"event": "epo', b"\xff\n", b"[]\n", b"{}\n"])
def test_what_a_kill_tore_is_passed_over_and_written_after(tmp_path: Path, torn: bytes) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.append("extended", trials=1)
    with log.path.open("ab") as file:
        file.write(torn)
    assert [event["trials"] for event in log] == [1]
    log.append("extended", trials=2)
    assert [event["trials"] for event in log] == [1, 2]
    _, behind_first = next(log.after(0))
    assert [event["trials"] for event, _ in log.after(behind_first)] == [2]


def set_up(story: Story, trial: str, **numbers: float | str | None) -> None:
    """A run has been set up, on the first device unless told otherwise."""
    story.log.append("setup", **details("setup", **{"trial": trial, "device": "first", **numbers}))


def test_devices_are_compared_by_the_first_run_whose_steps_are_its_own(tmp_path: Path) -> None:
    story = Story(tmp_path)
    history = story.history()
    assert history.yardstick() is None
    # That of the first is too near to 1 to be told from noise: it counts as a plain one.
    for trial, ratio, expected in (("t0", 1.04, 1.0), ("t1", 3.0, 3.0), ("t2", 2.0, 3.0)):
        story.begins(Begin(trial, 0, "search", None, {"steps": int(ratio)}))
        set_up(story, trial, ratio=ratio)
        config, cost = history.refresh().yardstick() or ({}, {})
        assert config["steps"] == int(expected)
        assert cost == {"plain_s": 0.001, "ratio": expected, "warm_up_ratio": 1.0}
    assert history.speeds() == {"first": (1.0, 1.0)}


def test_a_device_is_known_in_part_until_weights_were_compared(tmp_path: Path) -> None:
    story = Story(tmp_path)
    history = story.history()
    for trial, extra_speed in (("t0", None), ("t1", 0.25), ("t2", 0.75)):
        story.begins(Begin(trial, 0, "search", None, {}))
        set_up(story, trial, device="second", speed=0.5, extra_speed=extra_speed)
        expected = None if trial == "t0" else 0.25
        assert history.refresh().speeds() == {"second": (0.5, expected)}


def test_seconds_alone_are_told_in_those_of_the_first_device(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.trial(0, work_s=3.0)
    config = {**story.history().runs["t0"].config, "epochs": 3}
    story.begins(Begin("t0-retime", 0, "retime", "t0", config))
    # A plain step takes 2 ms there, and weights 2 ms more: 1 ms and 0.5 ms on the first device.
    set_up(story, "t0-retime", device="second", ratio=1.5, speed=0.5, extra_speed=0.25)
    story.ends("t0-retime", work_s=4.0)  # 8 s of wall time
    (retimed,) = story.history().trials()["retimed_s"]
    assert retimed == pytest.approx(8.0 * 1.5 / 4)


def test_settings_that_vary_are_those_by_which_trials_alike_differ(tmp_path: Path) -> None:
    story = Story(tmp_path)
    shared = {"cap": 20.0, "batch_size": 64}  # as the space fixes them
    for number, config in enumerate(
        [
            {"divergence": "mmd", "reference_weight": 0.1, "model": {"width": 8}},
            {"divergence": "kl", "reference_weight": 0.3, "model": {"width": 16}},
            {"method": "erm", "reference_weight": 0.0, "cap": 50.0},  # all as a baseline has it
            {"method": "clean-only", "reference_weight": 0.0, "cap": 50.0, "seed": 0},
            {"method": "clean-only", "reference_weight": 0.0, "cap": 50.0, "clip_norm": 1.0},
        ]
    ):
        story.begins(Begin(f"t{number}", number, "search", None, {**shared, **config}))
    story.begins(Begin("t5", 5, "search", None, shared, params={"lr_exponent": -2.0, "trial": 1}))
    story.begins(Begin("t0-seed1", 0, "seed", "t0", {**shared, "seed": 1}))
    varied = story.history().varied()
    assert varied == [
        "reference_weight", "model.width", "clip_norm", "lr_exponent", "suggested trial",
    ]  # fmt: skip
    assert set(varied) <= set(story.history().marked())
