from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from adiw_tune.errors import UserError
from adiw_tune.record.files import write_atomically
from adiw_tune.record.record import SearchRecord
from adiw_tune.search.run import extend_search, resume_search
from tests.search.made_up import details, line, settings


def create(storage: Path, name: str = "s") -> SearchRecord:
    (storage.parent / "space.py").write_text("# the space\n")
    return SearchRecord.create(storage, settings(name=name), storage.parent / "space.py")


def begun(record: SearchRecord, trials: int) -> None:
    for number in range(trials):
        record.log.append("trial", **details("trial", trial=f"t{number}", number=number))


def test_a_record_is_opened_as_it_was_created(tmp_path: Path) -> None:
    created = create(tmp_path / "searches")
    opened = SearchRecord.open(tmp_path / "searches", "s")
    assert opened.settings == created.settings
    assert opened.space_path.read_text() == "# the space\n"
    assert opened.history().trials().empty
    assert not opened.finished
    opened.finish(None)
    assert opened.finished


def test_an_extended_search_asks_for_more_and_is_not_over(tmp_path: Path) -> None:
    record = create(tmp_path / "searches")
    begun(record, 4)
    record.finish(None)
    record.extend(20, None, "2h")
    opened = SearchRecord.open(tmp_path / "searches", "s")
    assert (opened.settings.trials, opened.settings.budget) == (24, "2h")
    changes = {"trials": 24, "budget": "2h", "place": record.folder}
    assert opened.settings == settings(**changes)
    assert not opened.finished
    assert [event["trials"] for event in opened.log if event["event"] == "extended"] == [24]


def test_as_many_trials_are_added_as_are_asked_for(tmp_path: Path) -> None:
    """Also where patience or a budget had ended the search before its number of trials."""
    record = create(tmp_path / "searches")
    begun(record, 1)
    record.extend(2, None, None)  # three were still to come
    assert record.settings.trials == 6
    record.finish(None)
    record.extend(2, None, None)
    assert record.settings.trials == 3
    with pytest.raises(UserError, match="--trials 999999 would make 1,000,002 in all, above 1,000"):
        record.extend(999_999, None, None)
    assert record.settings.trials == 3


def test_its_files_are_where_it_was_begun_or_here_if_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, begun = create(tmp_path / "searches"), tmp_path / "begun"
    begun.mkdir()
    monkeypatch.chdir(tmp_path)
    record.move(folder=begun)
    opened = SearchRecord.open(tmp_path / "searches", "s")
    assert opened.settings.files_from == begun
    begun.rmdir()
    assert opened.settings.files_from == tmp_path


def test_a_search_runs_once_at_a_time(tmp_path: Path) -> None:
    record = create(tmp_path / "searches")
    again = SearchRecord.open(tmp_path / "searches", "s")
    already = pytest.raises(UserError, match="search 's' is running already")
    with record.claimed(), already, again.claimed():
        pass
    with again.claimed():
        pass


def test_a_search_that_runs_is_not_begun_again_nor_extended(tmp_path: Path) -> None:
    record = create(tmp_path / "searches")
    again = SearchRecord.open(tmp_path / "searches", "s")
    (tmp_path / "mlflow.db").mkdir()  # it could not be recorded, but that is not the point
    record.move(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    already = pytest.raises(UserError, match="search 's' is running already")
    with record.claimed():
        with already:
            resume_search(again, None, Console(quiet=True))
        with already:
            extend_search(again, 20, None, None, None, Console(quiet=True))
    assert SearchRecord.open(tmp_path / "searches", "s").settings.trials == settings().trials
    assert list(again.log) == []


def test_what_a_kill_left_of_one_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "searches" / ".s.part").mkdir(parents=True)
    (tmp_path / "searches" / ".s.part" / "search.json").write_text("{")
    create(tmp_path / "searches")
    assert [path.name for path in (tmp_path / "searches").iterdir()] == ["s"]


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    create(tmp_path / "searches")
    with pytest.raises(UserError, match="adiw-tune resume s"):
        create(tmp_path / "searches")


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    path = create(tmp_path / "searches").folder / "search.json"
    for damage in ('{"name": "s"}', "", "[]", '{"name": '):
        path.write_text(damage)
        with pytest.raises(UserError, match="is damaged") as caught:
            SearchRecord.open(tmp_path / "searches", "s")
        assert "\n" not in str(caught.value)


def test_an_unknown_name_is_met_with_the_known_ones(tmp_path: Path) -> None:
    create(tmp_path / "searches", "one")
    create(tmp_path / "searches", "two")
    with pytest.raises(UserError, match="there are one, two"):
        SearchRecord.open(tmp_path / "searches", "three")


def test_the_commands_name_the_storage_where_it_is_not_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    elsewhere = create(tmp_path / "my searches")
    assert elsewhere.resume_command() == f"adiw-tune resume s --storage '{tmp_path}/my searches'"
    default = create(Path("adiw-searches").absolute())
    assert default.train_command() == "adiw-tune train --from s"
    assert (
        default.train_command("best-under=20") == "adiw-tune train --from s --policy best-under=20"
    )
    assert default.ui_command() == "adiw-tune ui s"
    assert default.rows_command() == "adiw-tune rows s"


def test_an_atomic_write_replaces_the_whole_and_leaves_no_part(tmp_path: Path) -> None:
    path = tmp_path / "decision.json"
    write_atomically(path, json.dumps({"a": 1}))
    write_atomically(path, json.dumps({"b": 2}))
    assert json.loads(path.read_text()) == {"b": 2}
    assert list(tmp_path.iterdir()) == [path]


def test_what_the_budget_leaves_no_time_for_is_not_asked_for(tmp_path: Path) -> None:
    record = create(tmp_path / "searches")
    record.log.path.write_text(line("session", 100.0) + line("trial", 200.0))
    record.finish(None)
    before = {path: path.read_text() for path in record.folder.iterdir()}
    with pytest.raises(UserError, match="budget '2m' leaves no more trials: 100 s are spent"):
        record.extend(2, None, "2m")  # of which the finale keeps its share
    assert {path: path.read_text() for path in record.folder.iterdir()} == before
    record.extend(2, None, "1h")
    assert not record.finished


@pytest.mark.parametrize(
    ("trials", "seeds", "budget", "event"),
    [
        (None, 6, None, {"seeds": 6}),  # the finale alone goes on
        (2, 6, None, {"trials": 6, "seeds": 6}),
        (None, 6, "2h", {"trials": 4, "seeds": 6}),
        (None, None, "2h", {"trials": 4}),
    ],
)
def test_what_an_extended_search_asks_for_is_in_its_log(
    tmp_path: Path, trials: int | None, seeds: int | None, budget: str | None, event: dict[str, int]
) -> None:
    record = create(tmp_path / "searches")
    begun(record, 4)
    record.finish(None)
    record.extend(trials, seeds, budget)
    opened = SearchRecord.open(tmp_path / "searches", "s")
    now = opened.settings
    assert (now.trials, now.seeds, now.budget) == (4 + (trials or 0), seeds or 3, budget)
    assert not opened.finished
    *_, logged = opened.log
    assert {name: logged[name] for name in logged.keys() - {"event", "time"}} == event


def test_seeds_that_are_no_more_are_not_asked_for(tmp_path: Path) -> None:
    record = create(tmp_path / "searches")
    record.finish(None)
    for seeds, told in (
        (2, "--seeds must be at least 3; got 2"),
        (3, "--seeds is the new total, and 's' has 3: give more than 3; got 3"),
        (1001, "--seeds must be at most 1000; got 1001"),
        (None, "nothing to extend in 's': give --trials, --seeds or --budget"),
    ):
        with pytest.raises(UserError) as refused:
            record.extend(None, seeds, None)
        assert str(refused.value) == told
    assert record.finished
    assert list(record.log) == []
    (record.folder / "decision.json").unlink()
    with pytest.raises(UserError, match=r"got 3; '.*resume s --storage .*' goes on with these"):
        record.extend(None, 3, None)


def test_a_budget_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    record = create(tmp_path / "searches")
    record.finish(None)
    with pytest.raises(UserError, match="unknown budget ''"):
        record.extend(None, None, "")
    without = r"budget '\$5' needs --price, which 's' was begun without: give a time such as 10m"
    with pytest.raises(UserError, match=without):
        record.extend(None, None, "$5")
    assert list(record.log) == []


def test_seeds_may_spend_what_the_budget_keeps_for_them(tmp_path: Path) -> None:
    record = create(tmp_path / "searches")
    record.log.path.write_text(line("session", 100.0) + line("trial", 200.0))
    for trials, seeds in ((2, None), (2, 6)):
        with pytest.raises(UserError, match="budget '2m' leaves no more trials"):
            record.extend(trials, seeds, "2m")
    with pytest.raises(UserError, match="budget '100s' leaves no more runs: 100 s are spent"):
        record.extend(None, 6, "100s")
    record.extend(None, 6, "2m")
    assert record.settings.seeds == 6
