from __future__ import annotations

import re

import pytest

from adiw_tune.errors import UserError
from adiw_tune.record.budget import SEARCH_SHARE, Budget


@pytest.mark.parametrize(
    ("text", "price", "devices", "seconds"),
    [
        ("90s", None, 1, 90),
        ("10m", None, 8, 600),
        ("1.5h", None, 1, 5400),
        ("2gpu-h", None, 1, 7200),
        ("2gpu-h", None, 4, 1800),
        ("$5", 2.5, 1, 7200),
        ("$5", 2.5, 2, 3600),
    ],
)
def test_a_budget_is_wall_seconds(
    text: str, price: float | None, devices: int, seconds: float
) -> None:
    assert Budget.parse(text, price, devices).seconds == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "price", "told"),
    [
        ("10", None, "unknown budget '10': write a time such as 10m"),
        ("ten minutes", None, "unknown budget"),
        ("0m", None, "budget '0m' must be above 0"),
        ("1.2.3h", None, "budget '1.2.3h' must be above 0"),
        ("$5", None, "budget '$5' needs --price above 0"),
        ("$5", 0.0, "needs --price above 0"),
        ("$0", 1.0, "must be above 0"),
        ("-5m", None, "unknown budget '-5m'"),
        ("²h", None, "unknown budget"),
        ("0.5s", None, "budget '0.5s' is 0.5 s: it must be 1 s to 1e+09 s"),
        ("9" * 400 + "h", None, "is inf s: it must be"),
        ("$5", float("inf"), "--price must lie in [1e-06, 1e+06]; got inf"),
        ("$5", 1e-320, "--price must lie in [1e-06, 1e+06]; got 1e-320"),
        ("$5", float("nan"), "needs --price above 0"),
    ],
)
def test_what_is_no_budget_is_told(text: str, price: float | None, told: str) -> None:
    with pytest.raises(UserError, match=re.escape(told)) as caught:
        Budget.parse(text, price, 1)
    assert "\n" not in str(caught.value)


def test_a_share_is_kept_for_the_finale() -> None:
    budget = Budget(100.0)
    assert budget.left_s(0, "search") == pytest.approx(100 * SEARCH_SHARE)
    assert budget.left_s(75, "search") < 0 < budget.left_s(75, "baselines")
    assert budget.left_s(85, "baselines") < 0 < budget.left_s(85, "finale")
    assert budget.left_s(101, "finale") < 0
