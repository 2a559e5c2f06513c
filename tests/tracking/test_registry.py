"""The winner as a registered model, in a real store, of small real networks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from adiw_tune.errors import UserError
from adiw_tune.tasks.networks import lenet, mlp
from adiw_tune.tasks.watched import Watched
from adiw_tune.tracking.registry import model_name
from adiw_tune.tracking.runs import SearchRuns

from .helpers import client

NAME = model_name("digits")


class OwnWay(nn.Module):
    """Which layer is used depends on the input: no graph can be exported of that."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(64, 10), nn.Linear(64, 10)])

    def forward(self, x: Tensor) -> Tensor:
        return self.layers[int(x.sum() > 0)](x)


def network() -> nn.Module:
    torch.manual_seed(0)
    return mlp(torch.Size([64]), 10)


def winner(uri: str, trial: str = "t7-winner") -> SearchRuns:
    runs = SearchRuns.open(uri, "digits", {}, "search-1")
    begun = {"event": "trial", "trial": trial, "number": 7, "kind": "winner", "of": "t7"}
    runs.record([{**begun, "config": {"divergence": "kl"}, "time": 1.8e9}])
    return runs


def load(uri: str, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """As a user does, in whose process nothing may be unpickled."""
    import mlflow

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    mlflow.set_tracking_uri(uri)
    try:
        loaded: nn.Module = mlflow.pytorch.load_model(f"models:/{NAME}@champion")
    finally:
        mlflow.set_tracking_uri(None)  # what it was would stay, whatever the environment says
    return loaded


def test_the_registered_network_gives_the_same_logits_for_any_number_of_rows(
    uri: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    trained, rows = network().train(), np.ones((5, 64), np.float32)
    assert winner(uri).register("t7-winner", trained, rows, NAME, "champion") == "1"
    assert capfd.readouterr() == ("", "")
    assert trained.training  # the caller's own is left as it was
    loaded = load(uri, monkeypatch)
    for count in (1, 7):
        x = torch.randn(count, 64)
        torch.testing.assert_close(loaded(x), trained.eval()(x))


@pytest.mark.parametrize(
    ("module", "rows"),
    [
        (lenet(torch.Size([1, 28, 28]), 10), np.zeros((3, 1, 28, 28), np.float32)),
        (Watched(nn.Sequential(nn.BatchNorm1d(64), nn.Linear(64, 10))), np.ones((2, 64), "f4")),
    ],
    ids=["lenet", "a user's, watched"],
)
def test_networks_that_tasks_make_can_be_exported(
    uri: str, monkeypatch: pytest.MonkeyPatch, module: nn.Module, rows: np.ndarray
) -> None:
    winner(uri).register("t7-winner", module, rows, NAME, "champion")
    x = torch.randn(4, *rows.shape[1:])
    torch.testing.assert_close(load(uri, monkeypatch)(x), module.eval()(x))


def test_a_run_has_one_version_and_a_new_winner_takes_the_alias(uri: str) -> None:
    rows = np.zeros((2, 64), np.float32)
    for _ in range(2):
        assert winner(uri).register("t7-winner", network(), rows, NAME, "champion") == "1"
    other = winner(uri, "t9-winner")
    assert other.register("t9-winner", network(), rows, NAME, "champion") == "2"
    found = client(uri).get_model_version_by_alias(NAME, "champion")
    assert str(found.version) == "2"
    assert found.tags["divergence"] == "kl"
    run = client(uri).get_run(found.run_id)
    assert run.data.tags["adiw.trial"] == "t9-winner"


def test_no_row_of_the_users_data_is_kept(uri: str, tmp_path: Path) -> None:
    rows = np.full((2, 64), 0.123456, np.float32)
    runs = winner(uri)
    runs.register("t7-winner", network(), rows, NAME, "champion")
    found = client(uri).get_model_version_by_alias(NAME, "champion")
    folder = Path(client(uri).download_artifacts(found.run_id, "model", str(tmp_path)))
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 3
    assert not any(b"0.12345" in path.read_bytes() for path in files)
    assert not any(rows[0].tobytes() in path.read_bytes() for path in files)


def test_a_network_that_cannot_be_exported_is_kept_as_its_state(uri: str, tmp_path: Path) -> None:
    module = OwnWay()
    winner(uri).register("t7-winner", module, np.ones((2, 64), np.float32), NAME, "champion")
    found = client(uri).get_model_version_by_alias(NAME, "champion")
    assert found.description.startswith("state_dict only")
    folder = Path(client(uri).download_artifacts(found.run_id, "model", str(tmp_path)))
    (file,) = [path for path in folder.rglob("*") if path.is_file()]
    OwnWay().load_state_dict(torch.load(file, weights_only=True))


def test_a_trial_that_was_not_recorded_is_named(uri: str) -> None:
    runs = SearchRuns.open(uri, "digits", {}, "search-1")
    with pytest.raises(UserError, match="'t8-winner' is not in MLflow yet"):
        runs.register("t8-winner", network(), np.zeros((2, 64), np.float32), NAME, "champion")


def test_a_searchs_name_becomes_a_name_that_mlflow_takes() -> None:
    assert model_name("a/b:c d's") == "adiw-tune-a-b-c d-s"
