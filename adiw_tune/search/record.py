"""What a search leaves on disk: enough to resume it, decide from it and train its winner again."""

import json
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from adiw_tune.decide import DEFAULT_POLICY, pareto_front
from adiw_tune.errors import UserError

DEFAULT_STORAGE = Path("adiw-searches")
_COLUMNS = ["trial", "number", "divergence", "status", "accuracy", "train_seconds", "epochs"]


class SearchSettings(BaseModel):
    """What fixed a search when it was started; ``search.json``.

    Times and sizes: ``trials`` and ``concurrency`` are counts; ``gpus_per_trial`` is a share.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    search_id: str
    trials: int
    seed: int
    concurrency: int
    gpus_per_trial: float
    tracking_uri: str
    data_dir: Path | None
    address: str | None
    version: str


class SearchRecord:
    """The directory of one search.

        search.json     what fixed it
        space.py        the space file as it was
        events.jsonl    what happened, a line each: trial begun, epoch done, trial ended
        decision.json   written last: the search is over
        ray/            Ray Tune's own state and the trials' checkpoints

    Args:
        folder: the directory.
        settings: the content of its search.json.
    """

    def __init__(self, folder: Path, settings: SearchSettings) -> None:
        self.folder = folder
        self.settings = settings
        self.events = EventLog(folder / "events.jsonl")

    @classmethod
    def create(cls, storage: Path, settings: SearchSettings, space: Path) -> Self:
        """Make the directory; refuse a name that is taken."""
        check_name_is_free(storage, settings.name)
        folder = storage.absolute() / settings.name
        try:
            folder.mkdir(parents=True)
            shutil.copyfile(space, folder / "space.py")
        except OSError as error:
            raise UserError(f"cannot write to storage '{storage}': {error.strerror}") from error
        write_atomically(folder / "search.json", settings.model_dump_json(indent=2))
        return cls(folder, settings)

    @classmethod
    def open(cls, storage: Path, name: str) -> Self:
        """The search called ``name``."""
        folder = storage.absolute() / name
        path = folder / "search.json"
        if not path.is_file():
            raise UserError(f"no search '{name}' in '{storage}': {_known(storage)}")
        try:
            return cls(folder, SearchSettings.model_validate_json(path.read_text()))
        except ValidationError as error:
            what = error.errors()[0]
            where = ".".join(str(part) for part in what["loc"])
            raise UserError(f"'{path}' is damaged ({where}: {what['msg']})") from error

    @property
    def space_path(self) -> Path:
        """The space file as it was when the search began."""
        return self.folder / "space.py"

    @property
    def finished(self) -> bool:
        """Whether the search has come to its end."""
        return (self.folder / "decision.json").exists()

    def finish(self, decision: dict[str, Any] | None) -> None:
        """Write the decision, which ends the search."""
        write_atomically(self.folder / "decision.json", json.dumps(decision, indent=2))

    def trials(self) -> pd.DataFrame:
        """One row per trial begun: its last epoch, its status and its configuration.

        Columns trial, number, divergence, status (running, finished, failed or stopped),
        accuracy in [0, 1], train_seconds, epochs, reason, and ``config``, a dict.
        """
        rows: dict[str, dict[str, Any]] = {}
        for event in self.events:
            _apply(rows, event)
        return pd.DataFrame(list(rows.values()), columns=[*_COLUMNS, "reason", "config"])

    def front(self) -> pd.DataFrame:
        """The Pareto front of the finished trials, with a column for each setting."""
        return pareto_front(with_settings(self.trials())).drop(columns=["reason", "on_front"])

    def train_command(self, policy: str = DEFAULT_POLICY) -> str:
        """The command line that trains the pick again."""
        rule = "" if policy == DEFAULT_POLICY else f" --policy {policy}"
        return f"adiw-tune train --from {self._arguments()}{rule}"

    def resume_command(self) -> str:
        """The command line that goes on with the search."""
        return f"adiw-tune resume {self._arguments()}"

    def ui_command(self) -> str:
        """The command line that shows the search in MLflow."""
        return f"adiw-tune ui {self._arguments()}"

    def _arguments(self) -> str:
        storage = self.folder.parent
        words = [self.settings.name]
        if storage != DEFAULT_STORAGE.absolute():
            words += ["--storage", str(storage)]
        return shlex.join(words)


class EventLog:
    """Append-only lines of JSON. A torn last line, left by a kill, is passed over."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, event: dict[str, Any]) -> None:
        """Write one event so that it survives a kill of this process or of the machine."""
        self._end_torn_line()
        with self.path.open("ab") as file:
            file.write(json.dumps(event).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n") and (event := _parse(line)) is not None:
                    yield event

    def _end_torn_line(self) -> None:
        if not self.path.exists() or not self.path.stat().st_size:
            return
        with self.path.open("rb+") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _apply(rows: dict[str, dict[str, Any]], event: dict[str, Any]) -> None:
    trial = event["trial"]
    if event["event"] == "trial":
        config = event["config"]
        rows.setdefault(
            trial,
            {
                "trial": trial,
                "number": event["number"],
                "divergence": arm(config),
                "status": "running",
                "epochs": 0,
                "config": config,
            },
        )
    elif event["event"] == "epoch":
        rows[trial].update(
            epochs=event["epoch"],
            accuracy=event["accuracy"],
            train_seconds=event["train_seconds"],
        )
    else:
        rows[trial].update(status=event["status"], reason=event["reason"])


def arm(config: dict[str, Any]) -> str:
    """What trials are compared by: the divergence, or the method where that is not adiw.

    Of a user's own divergence, which is a path, it is the file's name.
    """
    method = config.get("method", "adiw")
    return Path(config["divergence"]).name if method == "adiw" else str(method)


def with_settings(trials: pd.DataFrame) -> pd.DataFrame:
    """``trials`` with a column for each setting in place of the one of dicts."""
    settings = pd.DataFrame(list(trials["config"]), index=trials.index)
    known = [name for name in settings if name in trials]
    return pd.concat([trials.drop(columns="config"), settings.drop(columns=known)], axis=1)


def check_name_is_free(storage: Path, name: str) -> None:
    """Refuse a name that is taken, or that is no plain file name."""
    if not name or Path(name).name != name or name.startswith("."):
        raise UserError(f"'{name}' cannot name a search: use letters, digits, '-' and '_'")
    if (storage / name).exists():
        raise UserError(
            f"search '{name}' exists in '{storage}': go on with it by 'adiw-tune resume {name}', "
            "or choose another --name"
        )


def write_atomically(path: Path, text: str) -> None:
    """All of ``text`` or nothing, also when killed."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text + "\n")
    temporary.replace(path)


def _known(storage: Path) -> str:
    names = sorted(path.parent.name for path in storage.glob("*/search.json"))
    return f"there are {', '.join(names)}" if names else "none is recorded there (see --storage)"
