"""A curve that is not finished, on disk: a kill costs the point that was under way."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from adiw_tune.errors import UserError
from adiw_tune.record.faults import first_fault
from adiw_tune.record.files import read, remove, write_atomically
from adiw_tune.scaling.point import Failed
from adiw_tune.scaling.worker import Measured


class _Kept(BaseModel):
    model_config = ConfigDict(strict=True)

    asked: dict[str, Any]
    run_id: str | None
    outcomes: dict[int, Measured]


class Unfinished:
    """What was measured of a curve, with its run in MLflow, until it is over.

    Args:
        path: of the file; what another curve has left there is not taken for this one's.
        asked: all that the numbers depend on, for JSON: they are a curve's as long as it stays.
    """

    def __init__(self, path: Path, asked: dict[str, Any]) -> None:
        self._path = path
        self._asked = json.loads(json.dumps(asked))
        self.run_id: str | None = None
        self.left_run_id: str | None = None  # of another curve, which will not go on
        self.outcomes: dict[int, Measured | Failed] = {}
        if not path.exists():
            return
        found = _found(path)
        if found.asked != self._asked:
            self.left_run_id = found.run_id
            return
        self.run_id = found.run_id
        self.outcomes.update(found.outcomes)

    def began(self, run_id: str) -> None:
        """Keep what there is under this run of MLflow."""
        self.run_id = run_id
        self._write()

    def add(self, value: int, outcome: Measured | Failed) -> None:
        """Keep what the point at ``value`` came to; one that failed is tried again after a kill."""
        self.outcomes[value] = outcome
        self._write()

    def over(self) -> None:
        """Nothing is to go on with."""
        remove(self._path)

    def _write(self) -> None:
        measured = {v: asdict(o) for v, o in self.outcomes.items() if isinstance(o, Measured)}
        kept = {"asked": self._asked, "run_id": self.run_id, "outcomes": measured}
        write_atomically(self._path, json.dumps(kept, indent=2))


def _found(path: Path) -> _Kept:
    try:
        return _Kept.model_validate_json(read(path))
    except ValidationError as error:
        raise UserError(
            f"'{path}' is damaged: {first_fault(error)}; remove it, to measure all points anew"
        ) from error
