"""What a submitted search takes along, and what is kept from other eyes."""

from __future__ import annotations

import os
from pathlib import Path
from zipfile import ZipFile

import pytest
from cryptography.fernet import InvalidToken
from ray._private.runtime_env.packaging import unzip_package

from adiw_tune.cluster import package
from adiw_tune.cluster.package import pack, sent_as
from adiw_tune.cluster.sealed import ray_token, seal, unseal
from adiw_tune.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "user"
    for name in ("space.py", "lib/a.py", "lib/__pycache__/a.pyc", "adiw-searches/s/search.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    for name in (".env", "mlflow.db", "mlflow.db-wal", "lib/.token", "data/rows.npy"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def names(path: Path) -> list[str]:
    with ZipFile(path) as zipped:
        return zipped.namelist()


def test_a_folder_goes_without_what_searches_leave_and_what_is_hidden(
    folder: Path, tmp_path: Path
) -> None:
    assert names(pack(folder, (), tmp_path)) == ["data/rows.npy", "lib/a.py", "space.py"]
    assert names(pack(folder, ("data/", "lib/a*"), tmp_path)) == ["space.py"]


def test_links_are_sent_as_what_they_lead_to_and_not_without_end(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "shared" / "more").mkdir(parents=True)
    (tmp_path / "shared" / "more" / "b.py").write_text("b")
    (folder / "link").symlink_to(tmp_path / "shared")
    (tmp_path / "shared" / "back").symlink_to(folder)  # a loop
    (folder / "lib" / "self").symlink_to(".")
    (folder / "gone").symlink_to(tmp_path / "nothing")
    sent = ["data/rows.npy", "lib/a.py", "link/more/b.py", "space.py"]
    assert names(pack(folder, (), tmp_path)) == sent
    assert sent_as(folder / "link" / "more" / "b.py", "task", folder, ()) == "link/more/b.py"
    (tmp_path / "user-too").symlink_to(folder)
    assert sent_as(tmp_path / "user-too" / "space.py", "space", folder, ()) == "space.py"


def test_programs_stay_programs(folder: Path, tmp_path: Path) -> None:
    (folder / "lib" / "a.py").chmod(0o750)
    into = tmp_path / "there"
    unzip_package(str(pack(folder, (), tmp_path)), str(into), False, False)  # as Ray does it
    assert [os.access(into / name, os.X_OK) for name in ("lib/a.py", "space.py")] == [True, False]
    assert (into / "space.py").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(("name", "mark"), [("my-env", "pyvenv.cfg"), ("conda", "conda-meta/x")])
def test_a_virtual_environment_is_not_sent_whatever_it_is_called(
    folder: Path, tmp_path: Path, name: str, mark: str
) -> None:
    for file in (mark, "lib/python3.11/site-packages/torch.py"):
        (folder / name / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / name / file).touch()
    assert names(pack(folder, (), tmp_path)) == ["data/rows.npy", "lib/a.py", "space.py"]
    with pytest.raises(UserError, match="is not sent: its name is among those left out"):
        sent_as(
            folder / name / "lib" / "python3.11" / "site-packages" / "torch.py", "task", folder, ()
        )


def test_the_same_files_are_the_same_package(folder: Path, tmp_path: Path) -> None:
    first = pack(folder, (), tmp_path).read_bytes()
    os.utime(folder / "space.py", (1e9, 1e9))
    assert pack(folder, (), tmp_path).read_bytes() == first
    (folder / "space.py").write_text("another")
    assert pack(folder, (), tmp_path).read_bytes() != first


def test_a_folder_that_is_too_large_says_what_is(folder: Path, tmp_path: Path) -> None:
    with (folder / "data" / "rows.npy").open("wb") as file:
        file.truncate(200 * 2**20)  # a hole, which takes no room
    with pytest.raises(UserError, match=r"largest are data \(200 MiB\), .*--exclude NAME"):
        pack(folder, (), tmp_path)
    assert not list(tmp_path.glob("*.zip"))
    assert names(pack(folder, ("data",), tmp_path)) == ["lib/a.py", "space.py"]


def test_sealed_variables_open_with_the_token_alone() -> None:
    variables = {"MLFLOW_TRACKING_PASSWORD": "päss word\n"}
    text = seal(variables, "the token")
    assert "MLFLOW" not in text
    assert seal(variables, "the token") != text
    assert unseal(text, "the token") == variables
    with pytest.raises(InvalidToken):
        unseal(text, "another")
    with pytest.raises(InvalidToken):
        unseal(text[:-5] + "AAAA=", "the token")


def test_the_token_is_found_where_ray_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    assert ray_token() is None
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("at home\n")
    assert ray_token() == "at home"
    (tmp_path / "elsewhere").write_text("elsewhere")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "elsewhere"))
    assert ray_token() == "elsewhere"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "named")
    assert ray_token() == "named"


def test_the_most_that_is_sent_is_what_a_job_server_takes() -> None:
    from ray._private.ray_constants import DASHBOARD_CLIENT_MAX_SIZE

    assert DASHBOARD_CLIENT_MAX_SIZE == package._MOST_BYTES
