"""What a dial's points are, and which are refused."""

from __future__ import annotations

import pytest

from adiw_tune.errors import UserError
from adiw_tune.scaling.dial import DIALS, Room, find_dial
from adiw_tune.training import TrialConfig

ROOM = Room(train_rows=1100, reference_rows=50, devices=6)


def values(dial: str, text: str | None = None, **config: object) -> list[int]:
    points = find_dial(dial).points(TrialConfig.from_mapping(config), ROOM, text)
    return [point.value for point in points]


def test_the_defaults_lie_around_the_configurations_own_value() -> None:
    assert values("workers") == [1, 2, 4]
    assert values("batch", batch_size=64) == [16, 32, 64, 128, 256]
    assert values("batch", batch_size=512) == [128, 256, 512, 1024]  # 2048 rows there are not
    assert values("batch", batch_size=4401) == [275, 550, 1100]  # as it takes all 1100
    assert values("reference", reference_batch_size=20) == [5, 10, 20, 40]
    assert values("reference", reference_batch_size=256) == [12, 25, 50]  # as it takes all 50
    assert values("steps", steps=5) == [1, 2, 5, 10, 20]
    assert values("steps", steps=1) == [1, 2, 4]
    assert values("n-train") == [137, 275, 550, 1100]


def test_a_users_values_are_sorted_and_none_is_there_twice() -> None:
    assert values("steps", "8, 2,4,2") == [2, 4, 8]
    assert values("n-train", "1,0.5,1/4") == [275, 550, 1100]


def test_a_point_differs_from_the_configuration_in_its_dial_alone() -> None:
    config = TrialConfig(divergence="kl", steps=7, batch_size=64)
    fields = {"batch": "batch_size", "reference": "reference_batch_size", "steps": "steps"}
    for name, dial in DIALS.items():
        (point,) = dial.points(config, ROOM, "1/2" if name == "n-train" else "3")
        changed = {fields[name]: 3} if name in fields else {}
        assert point.config.as_dict() == {**config.as_dict(), **changed}
        assert point.workers == (3 if name == "workers" else 1)
        assert point.train_rows == (550 if name == "n-train" else None)


def test_plain_steps_are_alike_where_mini_batches_have_as_many_rows() -> None:
    points = find_dial("n-train").points(TrialConfig(batch_size=256), ROOM, None)
    assert [point.plain_step for point in points] == [(137, 1), (256, 1), (256, 1), (256, 1)]
    points = find_dial("workers").points(TrialConfig(batch_size=256), ROOM, None)
    assert [point.plain_step for point in points] == [(256, 1), (256, 2), (256, 4)]


@pytest.mark.parametrize(
    ("dial", "text", "told"),
    [
        ("size", None, "unknown dial 'size': choose one of workers, batch, reference, steps, n-tr"),
        ("steps", "1,x", "--values must be whole numbers above 0, such as 1,2,4; got 'x'"),
        ("steps", "1,0", "got '0'"),
        ("steps", "1,,2", "got ''"),
        ("batch", "2.5", "got '2.5'"),
        ("n-train", "2", "--values of n-train must be shares in (0, 1], such as 1/8"),
        ("n-train", "1/0", "got '1/0'"),
        ("n-train", "half", "got 'half'"),
        ("reference", "10,51", "of reference must be at most 50, the number of reference rows; g"),
        ("batch", "1101", "of batch must be at most 1100, the number of training rows; got 1101"),
        ("workers", "7", "of workers must be at most 6, the number of GPUs here, or else of cores"),
    ],
)
def test_what_there_is_not_is_refused(dial: str, text: str | None, told: str) -> None:
    with pytest.raises(UserError) as refused:
        values(dial, text)
    assert told in str(refused.value)


def test_a_dial_of_weights_turns_nothing_of_a_warm_up() -> None:
    with pytest.raises(UserError, match="turns nothing of a trial of 2 epochs, all of them warm-u"):
        values("steps", epochs=2, warmup_epochs=2)
    assert values("n-train", epochs=2, warmup_epochs=2)


@pytest.mark.parametrize(
    ("dial", "method"),
    [("steps", "erm"), ("steps", "diw"), ("reference", "clean-only")],
)
def test_a_dial_that_turns_nothing_is_refused(dial: str, method: str) -> None:
    with pytest.raises(UserError, match=f"dial {dial} turns nothing of method {method}"):
        values(dial, method=method)
