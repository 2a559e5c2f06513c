"""Where a network can be saved, and what is there then."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from adiw_tune.errors import UserError
from adiw_tune.tasks import Network
from adiw_tune.training.saving import check_output, save_network

NETWORK = Network(nn.Flatten(), nn.Linear(2, 2))


def assert_saved(path: Path) -> None:
    assert path.is_file()
    assert set(torch.load(path, weights_only=True)) == {"head.weight", "head.bias"}


@pytest.mark.parametrize("name", ["new.pt", "x" * 255, "old.pt"])
def test_a_new_name_or_the_file_of_a_network_is_taken(tmp_path: Path, name: str) -> None:
    torch.save({"old": torch.ones(1)}, tmp_path / "old.pt")
    old = (tmp_path / "old.pt").read_bytes()
    names = {"old.pt", name}
    check_output(tmp_path / name)
    assert (tmp_path / "old.pt").read_bytes() == old
    save_network(NETWORK, tmp_path / name)
    assert_saved(tmp_path / name)
    assert {path.name for path in tmp_path.iterdir()} == names


def test_of_a_link_the_file_is_replaced_that_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    save_network(NETWORK, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert_saved(tmp_path / "file")


def test_anything_else_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "mlflow.db").write_bytes(b"SQLite format 3")
    (tmp_path / "device").symlink_to("/dev/full")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    before = sorted(tmp_path.iterdir())
    for name, told in (
        ("mlflow.db", "exists and does not hold a network: name another file"),
        ("pipe", "is not a regular file"),
        ("device", "is not a regular file"),
        ("/dev/null", "is not a regular file"),
        ("loop", "cannot write --output"),
        (".", "is a directory"),
        ("none/x", "No such file"),
        ("x" * 256, "File name too long"),
    ):
        with pytest.raises(UserError, match=told):
            check_output(tmp_path / name)
    assert sorted(tmp_path.iterdir()) == before


def test_what_this_process_prints_to_is_neither_replaced_nor_written(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/stdout")
    (tmp_path / "checks.py").write_text("""
import sys
from pathlib import Path
from adiw_tune.training.saving import check_output

print("printed", flush=True)
for name in sys.argv[1:]:
    try:
        check_output(Path(name))
    except ValueError as error:
        print(error, file=sys.stderr)
""")
    names = ["/dev/stdout", "/proc/self/fd/1", "/dev/fd/7", "out.bin", "link"]
    script = f"{shlex.join([sys.executable, 'checks.py', *names])} > out.bin 7> seven"
    ran = subprocess.run(["bash", "-c", script], cwd=tmp_path, text=True, capture_output=True)
    told = "is the file that this command prints to, or has open: name another one"
    assert ran.stderr.splitlines() == [f"--output '{name}' {told}" for name in names]
    assert (tmp_path / "out.bin").read_text() == "printed\n"
    assert len(list(tmp_path.iterdir())) == 4


def test_a_full_disk_is_told_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot write --output"):
        save_network(NETWORK, tmp_path / "gone" / "net.pt")
