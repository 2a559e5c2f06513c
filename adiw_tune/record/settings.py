"""What fixes a search: the content of its ``search.json``."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from adiw_tune.decide import parse_policy
from adiw_tune.errors import UserError
from adiw_tune.metrics import ACCURACY, Metric, find_metric
from adiw_tune.record.budget import Budget
from adiw_tune.record.faults import first_fault

_Count = Annotated[int, Field(ge=1)]


class SearchSettings(BaseModel):
    """What fixes a search; ``search.json``. ``trials``, ``seeds``, ``budget`` and paths may change.

    Args:
        name, search_id: what users call it, and what MLflow knows it by.
        trials: how many to run, before the finale.
        seed: of the trials and of the sampler.
        concurrency: runs at once, at most; None: as many as the machines have room for.
        cpus_per_trial: cores of each worker of a trial.
        gpus_per_trial: share of a GPU that each has, or how many; None: by the memory it needs,
            where there are GPUs.
        workers_per_trial: that share each mini-batch of a trial.
        devices: that a budget of device hours or money counts: GPUs, or machines without.
        policy: which trade-off the pick is to make.
        seeds: over how many the finalists are run again, at most; 0 for none.
        early_stopping: whether trials are cut at rungs.
        patience: finished trials without growth of the hypervolume that end the search, or None.
        budget, price: as :meth:`Budget.parse` reads them; None: no limit.
        folder: where it was started, or last by --or-resume: from which its space names files.
        folds: that the clean rows are cut into, 1 for a fixed share that selects.
        tracking_uri: MLflow's.
        data_dir: where to look for data first.
        checkpoints: directory or URL for the runs' checkpoints; None: in the record.
        address: of a running Ray cluster.
        version: of this package.
        place: of the record when this was written, from which it is seen that it was moved; None
            until it is.
        metric, greater_is_better: what it chooses by, and its direction; the accuracy in records of
            earlier versions, which do not say.
        baselines: whether plain training is among its arms; not in records of earlier versions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str
    search_id: Annotated[str, Field(pattern=r"^[\w-]+$")]
    trials: _Count
    seed: int
    concurrency: _Count | None
    cpus_per_trial: _Count
    gpus_per_trial: Annotated[float, Field(ge=0)] | None
    workers_per_trial: _Count
    devices: _Count
    policy: str
    seeds: Annotated[int, Field(ge=0)]
    early_stopping: bool
    patience: _Count | None
    budget: str | None
    price: float | None
    folder: Path
    folds: _Count
    tracking_uri: str
    data_dir: Path | None
    checkpoints: str | None
    address: str | None
    version: str
    place: Path | None = None
    metric: str = ACCURACY.name
    greater_is_better: bool = True
    baselines: bool = False

    @property
    def main_metric(self) -> Metric:
        """What the search chooses by."""
        return find_metric(self.metric, self.greater_is_better)

    @model_validator(mode="after")
    def _readable(self) -> Self:
        _ = self.main_metric
        parse_policy(self.policy, self.main_metric)
        _ = self.spending
        return self

    @property
    def files_from(self) -> Path:
        """The folder, or the working directory where that is gone, as a cluster's job's will be."""
        return self.folder if self.folder.is_dir() else Path.cwd()

    @property
    def spending(self) -> Budget | None:
        """What it may spend."""
        if self.budget is None:
            return None
        return Budget.parse(self.budget, self.price, self.devices)


def read_settings(content: bytes, where: str) -> SearchSettings:
    """Of a search.json; refuse one that is damaged, or of a version with other settings."""
    try:
        return SearchSettings.model_validate_json(content)
    except ValidationError as error:
        raise UserError(f"'{where}' is damaged: {first_fault(error)}") from error
