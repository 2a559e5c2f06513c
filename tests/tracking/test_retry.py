import threading
from collections.abc import Callable

import numpy as np
import pytest
from torch import nn

from adiw_tune.errors import UserError
from adiw_tune.tracking.retry import until_accepted
from adiw_tune.tracking.runs import SearchRuns
from adiw_tune.tracking.ui import ServedUi

from .helpers import FakeSearch, client, kill


@pytest.fixture(autouse=True)
def _environment_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.setenv(name, "0")
        monkeypatch.delenv(name)


def test_the_end_of_a_search_while_the_server_is_away(
    uri: str, search: FakeSearch, servers: Callable[..., ServedUi]
) -> None:
    served = servers()
    runs = SearchRuns.open(served.base_url, "digits", {}, "search-1")
    begun = {"event": "trial", "trial": "t7-winner", "number": 7, "kind": "winner", "of": "t7"}
    runs.record([{**begun, "config": {}, "time": 1.8e9}])
    network, rows = nn.Linear(4, 2), np.zeros((2, 4), np.float32)
    kill(served)
    refused = threading.Event()

    def finish() -> str:
        try:
            runs.finish(search.outcome)
            return runs.register("t7-winner", network, rows, "adiw-tune-digits", "champion")
        except Exception:
            refused.set()
            raise

    def serve_again() -> None:
        refused.wait(60)  # it was tried without a server first
        servers(int(served.base_url.rpartition(":")[2]))

    helper = threading.Thread(target=serve_again)
    helper.start()
    assert until_accepted(finish, 120) == "1"
    helper.join()
    assert refused.is_set()
    parent = client(uri).get_run(runs.parent_run_id)
    assert parent.info.status == "FINISHED"
    files = {file.path for file in client(served.base_url).list_artifacts(runs.parent_run_id)}
    assert {"report.html", "front.png", "decision.json"} <= files
    version = client(served.base_url).get_model_version_by_alias("adiw-tune-digits", "champion")
    assert version.source.endswith(f"{version.run_id}/artifacts/model")
    history = client(uri).get_metric_history(runs.parent_run_id, "hypervolume")
    assert [point.value for point in history] == list(search.outcome.hypervolume)


def test_when_the_time_is_over_the_last_error_is_told_in_one_line() -> None:
    with pytest.raises(UserError) as caught:
        until_accepted(
            lambda: SearchRuns.find("http://anna:s3cret@127.0.0.1:9", "search-1"), seconds=0.1
        )
    message = str(caught.value)
    assert message.startswith("MLflow does not accept it: ")
    assert "\n" not in message
    assert "s3cret" not in message


def test_our_own_mistakes_are_not_tried_again() -> None:
    tried = []

    def wrong() -> None:
        tried.append(1)
        raise KeyError("accuracy")

    with pytest.raises(KeyError):
        until_accepted(wrong, 60)
    assert len(tried) == 1
