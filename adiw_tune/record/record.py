"""What a search leaves on disk: enough to resume it, decide from it and train its winner again."""

import json
import os
import shlex
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from adiw_tune.decide import MIN_SEEDS
from adiw_tune.errors import UserError
from adiw_tune.ranges import check_whole
from adiw_tune.record.budget import Budget, Stage, doubled
from adiw_tune.record.checkpoints import CheckpointStore
from adiw_tune.record.files import claimed, is_claimed, read, remove, write_atomically
from adiw_tune.record.history import History
from adiw_tune.record.log import EventLog
from adiw_tune.record.moved import found_again
from adiw_tune.record.settings import SearchSettings, read_settings

DEFAULT_STORAGE = Path("adiw-searches")
MOST_TRIALS = 1_000_000
MOST_SEEDS = 1000
_MOST_BYTES = 200  # of a name: file systems take 255, with what temporary files and MLflow add


class SearchRecord:
    """The directory of one search.

        search.json     what fixed it
        space.py        the space file as it was
        events.jsonl    what happened, see EventLog: all the rest follows from it
        decision.json   written last: the search is over
        ray/            the runs' checkpoints, a directory for each time it was started, unless
                        they are kept elsewhere

    Args:
        folder: the directory.
        settings: the content of its search.json.
    """

    def __init__(self, folder: Path, settings: SearchSettings) -> None:
        self.folder = folder
        self.settings = settings
        self.log = EventLog(folder / "events.jsonl")

    @classmethod
    def create(cls, storage: Path, settings: SearchSettings, space: Path) -> Self:
        """Make the directory; refuse a name that is taken."""
        check_name_is_free(storage, settings.name)
        settings = settings.model_copy(update={"place": storage.absolute() / settings.name})
        begun = (settings.model_dump_json(indent=2) + "\n").encode()
        files = {"search.json": begun, "space.py": space.read_bytes()}
        return cls(make_whole(storage, settings.name, files), settings)

    @classmethod
    def open(cls, storage: Path, name: str) -> Self:
        """The search called ``name``, with what was moved along with it found again."""
        folder = storage.absolute() / name
        path = folder / "search.json"
        if not os.path.exists(path):
            raise UserError(f"no search '{name}' in '{storage}': {_known(storage)}")
        settings = read_settings(read(path), str(path))
        return cls(folder, found_again(settings, folder))

    def settings_as_written(self) -> SearchSettings:
        """What search.json says, also where the record was moved since."""
        path = self.folder / "search.json"
        return read_settings(read(path), str(path))

    @cached_property
    def checkpoints(self) -> CheckpointStore:
        """Where the runs' checkpoints are."""
        elsewhere = self.settings.checkpoints
        if elsewhere is None:
            return CheckpointStore(str(self.folder), "ray")
        return CheckpointStore(elsewhere, self.settings.name)

    @property
    def space_path(self) -> Path:
        """The space file as it was when the search began."""
        return self.folder / "space.py"

    @property
    def finished(self) -> bool:
        """Whether the search has come to its end."""
        return (self.folder / "decision.json").is_file()

    def finish(self, decision: dict[str, Any] | None) -> None:
        """Write the decision, which ends the search."""
        write_atomically(self.folder / "decision.json", json.dumps(decision, indent=2))

    def remove(self) -> None:
        """Leave nothing of the search, here or where its checkpoints are."""
        with suppress(OSError):  # what cannot be reached now cannot be removed
            self.checkpoints.remove_all()
        shutil.rmtree(self.folder, ignore_errors=True)

    def history(self) -> History:
        """What has happened so far."""
        return History(self.log, self.settings.main_metric)

    def move(self, **paths: Any) -> None:
        """Write down other paths: ``folder``, from which the space names files, or ``place``."""
        self._change(**paths)

    def extended(self, trials: int | None, seeds: int | None, budget: str | None) -> SearchSettings:
        """With ``trials`` more, and ``seeds`` and ``budget`` as the new totals.

        Raises:
            UserError: there is nothing to ask for, or nothing of the budget is left for it.
        """
        now = self.settings
        if trials is None and seeds is None and budget is None:
            raise UserError(
                f"nothing to extend in '{now.name}': give --trials, --seeds or --budget"
            )
        in_all = now.trials if trials is None else self._trials_with(trials)
        if seeds is not None:
            check_whole("--seeds", seeds, MIN_SEEDS, MOST_SEEDS)
            if seeds <= now.seeds:
                rest = "" if self.finished else f"; '{self.resume_command()}' goes on with these"
                raise UserError(
                    f"--seeds is the new total, and '{now.name}' has {now.seeds}: give more than "
                    f"{now.seeds}; got {seeds}{rest}"
                )
        if budget is not None and budget.startswith("$") and now.price is None:
            raise UserError(
                f"budget '{budget}' needs --price, which '{now.name}' was begun without: give a "
                "time such as 10m, or device hours such as 2gpu-h"
            )
        changes = {
            "trials": in_all,
            "seeds": now.seeds if seeds is None else seeds,
            "budget": now.budget if budget is None else budget,
        }
        settings = now.model_copy(update=changes)
        if self._is_spent(settings.spending, "search" if trials else "finale"):
            raise UserError(
                f"budget '{settings.budget}' leaves no more {'trials' if trials else 'runs'}: "
                f"{self.history().spent_s():.0f} s are spent; give a larger --budget, the new total"
            )
        return settings

    def _trials_with(self, more: int) -> int:
        """The total with ``more`` trials, without those that a search left out when it ended."""
        check_whole("--trials", more, 1, MOST_TRIALS)
        begun = len(self.history().of_kind("search"))
        in_all = more + (begun if self.finished else self.settings.trials)
        if in_all > MOST_TRIALS:
            raise UserError(f"--trials {more} would make {in_all:,} in all, above {MOST_TRIALS:,}")
        return in_all

    def _is_spent(self, budget: Budget | None, stage: Stage) -> bool:
        return budget is not None and budget.left_s(self.history().spent_s(), stage) <= 0

    def extend(self, trials: int | None, seeds: int | None, budget: str | None) -> None:
        """Ask for more, as :meth:`extended` has it."""
        settings = self.extended(trials, seeds, budget)
        remove(self.folder / "decision.json")  # first: killed here, it decides again
        asked = {}
        if trials is not None or budget is not None:
            asked["trials"] = settings.trials
        if seeds is not None:
            asked["seeds"] = seeds
        self.log.append("extended", **asked)  # before the totals: killed here, it can be repeated
        self._change(trials=settings.trials, seeds=settings.seeds, budget=settings.budget)

    def _change(self, **changes: Any) -> None:
        self.settings = self.settings.model_copy(update=changes)
        write_atomically(self.folder / "search.json", self.settings.model_dump_json(indent=2))

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """While the body runs, no other process may run this search, or read its test split."""
        whose = f"search '{self.settings.name}' is running already, or its test split is being read"
        with claimed(self._lock, whose):
            yield

    @property
    def running(self) -> bool:
        """Whether a process runs this search, or reads its test split, as far as is seen here."""
        return is_claimed(self._lock)

    @property
    def _lock(self) -> Path:
        return self.folder / "running.lock"

    def train_command(self, policy: str | None = None) -> str:
        """The command line that trains the pick again, by the search's policy or another one."""
        policy = policy or self.settings.policy
        rule = "" if policy == self.settings.policy else f" --policy {policy}"
        return f"adiw-tune train --from {self._arguments()}{rule}"

    def resume_command(self) -> str:
        """The command line that goes on with the search."""
        return f"adiw-tune resume {self._arguments()}"

    @property
    def spent(self) -> bool:
        """Whether the budget leaves no more runs."""
        return self._is_spent(self.settings.spending, "finale")

    def more_seeds_command(self) -> str | None:
        """The command line that runs the finale over twice as many seeds; None: it has the most."""
        if self.settings.seeds >= MOST_SEEDS:
            return None
        seeds = min(2 * self.settings.seeds, MOST_SEEDS)
        command = f"adiw-tune extend {self._arguments()} --seeds {seeds}"
        return f"{command} --budget {self._larger_budget()}" if self.spent else command

    def more_budget_command(self) -> str:
        """The command line that goes on with what a spent budget left out."""
        return f"adiw-tune extend {self._arguments()} --budget {self._larger_budget()}"

    def _larger_budget(self) -> str:
        """The budget, doubled until it leaves something to each stage."""
        settings = self.settings
        text = str(settings.budget)
        while self._is_spent(Budget.parse(text, settings.price, settings.devices), "search"):
            text = doubled(text)
        return shlex.quote(text)

    def finalize_command(self) -> str:
        """The command line that reads the test split."""
        return f"adiw-tune finalize {self._arguments()}"

    def rows_command(self) -> str:
        """The command line that shows which training rows look wrong."""
        return f"adiw-tune rows {self._arguments()}"

    def ui_command(self) -> str:
        """The command line that shows the search in MLflow."""
        return f"adiw-tune ui {self._arguments()}"

    def _arguments(self) -> str:
        return _arguments(self.folder.parent, self.settings.name)


def _arguments(storage: Path, name: str) -> str:
    """What a command line calls a search by."""
    elsewhere = storage.absolute() != DEFAULT_STORAGE.absolute()
    return shlex.join([name, *(["--storage", str(storage)] if elsewhere else [])])


def check_name(name: str) -> None:
    """Refuse a name that is no plain file name, or that no command could be given."""
    plain = name != "" and name.isprintable() and Path(name).name == name
    if not plain or name.startswith((".", "-")):
        raise UserError(f"'{name}' cannot name a search: use letters, digits, '-' and '_'")
    if len(name.encode()) > _MOST_BYTES:
        raise UserError(
            f"'{name}' cannot name a search: it has {len(name.encode())} bytes, of which there may "
            f"be {_MOST_BYTES}"
        )


def check_name_is_free(storage: Path, name: str) -> None:
    """Refuse a name that is taken, or that is no plain file name, and a storage that is a file."""
    check_name(name)
    _check_storage(storage)
    if os.path.exists(storage / name):
        arguments = _arguments(storage, name)
        what = f"exists in '{storage}': go on with it by 'adiw-tune resume {arguments}'"
        if (storage / name / "decision.json").is_file():
            more = f"adiw-tune extend {arguments} --trials N"
            what = f"in '{storage}' is over: add trials by '{more}'"
        raise UserError(f"search '{name}' {what}, or choose another --name")


def _check_storage(storage: Path) -> None:
    """Refuse what is no directory, or cannot become one."""
    try:
        is_directory = stat.S_ISDIR(os.stat(storage).st_mode)
    except FileNotFoundError:
        return
    except OSError as error:  # such as too long a name, or one below a file
        raise UserError(f"cannot write to storage '{storage}': {error.strerror}") from error
    if not is_directory:
        raise UserError(f"cannot write to storage '{storage}': it is no directory")


def make_whole(storage: Path, name: str, files: Mapping[str, bytes]) -> Path:
    """A search's directory with all of these files or, also when killed, none at all."""
    folder, partly = storage.absolute() / name, storage.absolute() / f".{name}.part"
    try:
        shutil.rmtree(partly, ignore_errors=True)  # of one that was killed
        partly.mkdir(parents=True)
        for file, content in files.items():
            (partly / file).write_bytes(content)
        partly.rename(folder)
    except OSError as error:
        raise UserError(f"cannot write to storage '{storage}': {error.strerror}") from error
    return folder


def _known(storage: Path) -> str:
    try:
        names = sorted(path.parent.name for path in storage.glob("*/search.json"))
    except OSError as error:  # such as too long a name
        return error.strerror or "it cannot be read"
    return f"there are {', '.join(names)}" if names else "none is recorded there (see --storage)"
