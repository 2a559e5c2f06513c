"""What a user, or an administrator, takes away in MLflow, and the way back that is told."""

from __future__ import annotations

import shlex
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner

from adiw_tune.errors import UserError
from adiw_tune.record.log import EventLog
from adiw_tune.tracking.outbox import Outbox
from adiw_tune.tracking.preflight import check_recordable
from adiw_tune.tracking.refusal import RefusedError
from adiw_tune.tracking.retry import until_accepted
from adiw_tune.tracking.runs import SearchRuns

from .helpers import FakeSearch, all_runs, children, client, expected_history, stored_history
from .test_outbox import append, wait_for


@pytest.fixture(autouse=True)
def _environment_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.setenv(name, "0")
        monkeypatch.delenv(name)


def opened(uri: str) -> SearchRuns:
    return SearchRuns.open(uri, "digits", {}, "search-1")


def mlflow(*words: str, **environment: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow about its own parts
        from mlflow.cli import cli
    done = CliRunner(env=environment).invoke(cli, list(words))
    assert done.exit_code == 0, done.output


def do_as_told(message: str) -> None:
    """Run the command at the end of a message."""
    assert "\n" not in message
    words = shlex.split(message.partition("restore it by: ")[2].rstrip(")"))
    name, _, value = words[0].partition("=")
    assert words[1] == "mlflow"
    mlflow(*words[2:], **{name: value})


def refused(uri: str, search_id: str | None = "search-1") -> str:
    with pytest.raises(RefusedError) as caught:
        check_recordable(uri, search_id)
    return str(caught.value)


def assert_each_trial_once(uri: str, search: FakeSearch) -> None:
    assert stored_history(uri) == expected_history(search.events)
    assert len(all_runs(uri)) == 1 + len(expected_history(search.events))


def test_a_deleted_experiment_is_told_before_a_search_begins(uri: str) -> None:
    check_recordable(uri)  # there is none yet
    runs = opened(uri)
    check_recordable(uri)
    client(uri).delete_experiment(runs.experiment_id)
    told = refused(uri, search_id=None)
    assert told.startswith("experiment 'adiw-tune' is deleted in MLflow: restore it by: MLFLOW_TR")
    with pytest.raises(RefusedError, match="is deleted in MLflow"):
        opened(uri)
    do_as_told(told)
    check_recordable(uri)
    assert opened(uri).parent_run_id == runs.parent_run_id


def test_a_deleted_parent_is_told_and_not_made_anew(uri: str, search: FakeSearch) -> None:
    runs = opened(uri)
    runs.record(search.events)
    client(uri).delete_run(runs.parent_run_id)
    told = refused(uri)
    assert told.startswith("the run of search 'digits' is deleted in MLflow: restore it by: ")
    for ask in (opened, lambda uri: SearchRuns.find(uri, "search-1")):
        with pytest.raises(RefusedError, match=f"--run-id {runs.parent_run_id}$"):
            ask(uri)
    check_recordable(uri, "search-2")
    do_as_told(told)
    check_recordable(uri, "search-1")
    opened(uri).record(search.events)
    assert_each_trial_once(uri, search)


@pytest.mark.parametrize("kind", ["experiment", "run"])
def test_what_is_deleted_while_a_search_runs_is_told_at_once_and_nothing_is_lost(
    uri: str, search: FakeSearch, tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "events.jsonl"
    outbox = Outbox(EventLog(path).after, lambda: opened(uri), tmp_path / "sent.json")
    append(path, search.events[:20])
    wait_for(lambda: outbox.pending == 0, "the first events")
    runs = opened(uri)
    if kind == "experiment":
        client(uri).delete_experiment(runs.experiment_id)
    else:
        for run in all_runs(uri):  # as one deletes all that a page shows
            client(uri).delete_run(run.info.run_id)
    append(path, search.events[20:])
    wait_for(lambda: outbox.last_error, "the refusal")
    assert outbox.last_error is not None
    assert f" mlflow {kind}s restore --{kind}-id " in outbox.last_error
    assert "refuses the latest events, which are kept" in caplog.text
    assert not outbox.close(60)  # at once: nobody waits for what will not come

    do_as_told(outbox.last_error)
    for run in client(uri).search_runs([runs.experiment_id], run_view_type=2):
        client(uri).restore_run(run.info.run_id)
    assert Outbox(EventLog(path).after, lambda: opened(uri), tmp_path / "sent.json").close(60)
    assert_each_trial_once(uri, search)


def test_a_trial_that_a_user_deleted_stays_so_and_holds_up_no_other(
    uri: str, search: FakeSearch
) -> None:
    runs = opened(uri)
    runs.record(search.events[:3])  # of t0
    deleted = children(uri)["t0"].info.run_id
    client(uri).delete_run(deleted)
    runs.record(search.events[3:])
    opened(uri).record(search.events)  # by a process that knows nothing of the first
    rest = expected_history(search.events)
    del rest["t0"]
    assert stored_history(uri) == rest
    assert client(uri).get_run(deleted).info.lifecycle_stage == "deleted"
    runs.interrupt()
    assert client(uri).get_run(runs.parent_run_id).info.status == "KILLED"


def test_after_a_purge_the_trials_that_are_left_are_nested_under_the_new_parent(
    uri: str, search: FakeSearch
) -> None:
    runs = opened(uri)
    runs.record(search.events)
    client(uri).delete_run(runs.parent_run_id)
    mlflow(
        "gc", "--backend-store-uri", uri, "--run-ids", runs.parent_run_id, MLFLOW_TRACKING_URI=uri
    )
    check_recordable(uri, "search-1")
    again = opened(uri)
    assert again.parent_run_id != runs.parent_run_id
    again.record(search.events)
    assert {run.data.tags["mlflow.parentRunId"] for run in children(uri).values()} == {
        again.parent_run_id
    }
    assert_each_trial_once(uri, search)


def test_a_purge_while_a_search_runs_has_all_sent_anew(
    uri: str, search: FakeSearch, tmp_path: Path
) -> None:
    path = tmp_path / "events.jsonl"
    outbox = Outbox(EventLog(path).after, lambda: opened(uri), tmp_path / "sent.json")
    append(path, search.events[:20])
    wait_for(lambda: outbox.pending == 0, "the first events")
    ours = [run.info.run_id for run in all_runs(uri)]
    for run_id in ours:
        client(uri).delete_run(run_id)
    mlflow("gc", "--backend-store-uri", uri, "--run-ids", ",".join(ours), MLFLOW_TRACKING_URI=uri)
    append(path, search.events[20:])
    assert outbox.close(60)
    assert_each_trial_once(uri, search)


def test_a_wrong_request_is_not_tried_again(uri: str) -> None:
    runs, asked = opened(uri), list[int]()

    def ask() -> None:
        asked.append(1)
        client(uri).log_metric(runs.parent_run_id, "a?b", 1.0)

    with pytest.raises(UserError, match=r"^MLflow refuses it \(Invalid value \"a\?b\""):
        until_accepted(ask, 60)
    assert len(asked) == 1


def test_a_setting_of_any_name_is_recorded(uri: str) -> None:
    begun = {"event": "trial", "trial": "t", "number": 0, "time": 1.8e9}
    opened(uri).record([{**begun, "config": {"lr|mmd?": 0.1, "divergence": "mmd"}}])
    assert children(uri)["t"].data.params == {"lr_mmd_": "0.1", "divergence": "mmd"}


def test_a_file_that_cannot_be_written_is_not_waited_for(
    uri: str,
) -> None:
    runs = opened(uri)
    root = Path(client(uri).get_run(runs.parent_run_id).info.artifact_uri.removeprefix("file://"))
    root.parent.mkdir(parents=True)
    root.write_text("a file where a directory belongs")
    with pytest.raises(UserError, match="MLflow refuses it"):
        until_accepted(lambda: client(uri).log_text(runs.parent_run_id, "", "a.txt"), 60)
