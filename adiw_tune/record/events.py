"""The schema of a search's log: which events there are, and the types and ranges of their fields.

Each event is a line of JSON. Fields that are not named here are kept as they are.
"""

from reprlib import repr as short
from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Discriminator, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from adiw_tune.record.faults import first_fault, told

Event = dict[str, Any]

_LARGE = 2**62  # of whole numbers, which MLflow keeps in 64 bits
_Name = Annotated[str, Field(pattern=r"^[\w-]+$")]  # of a run, as it is looked up in MLflow
_Count = Annotated[int, Field(ge=1, lt=_LARGE)]
_Whole = Annotated[int, Field(ge=0, lt=_LARGE)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Finite = Annotated[float, Field(gt=-1e12, lt=1e12)]
_Values = dict[str, Annotated[float, Field(allow_inf_nan=False)] | None]  # of metrics
_Seconds = Annotated[float, Field(ge=0, lt=1e12)]
_Factor = Annotated[float, Field(gt=0, lt=1e12)]
_Distribution = Annotated[str, Field(pattern=r'^\{"name": "\w+", "attributes": \{')]  # Optuna's
_Time = Annotated[float, Field(ge=0, lt=2.5e11)]  # up to the year 9999


class _Any(TypedDict):
    """What each event has.

    Fields that are not required here may be missing in a table for ``adiw-tune replay``, which is
    rounded and shortened. What the log of a search has of them :func:`check_whole` knows.
    """

    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]

    time: NotRequired[_Time]  # seconds since 1970


class Session(_Any):
    """The search was started, or gone on with: on what its numbers depend."""

    event: Literal["session"]
    packages: NotRequired[dict[str, str | None]]
    code: NotRequired[str]
    commit: NotRequired[str | None]
    python: NotRequired[str]
    machine: NotRequired[str]


class Extended(_Any):
    """The search was extended: the new totals of its trials, and of its finale's seeds.

    Without ``trials`` the finale alone goes on; without ``seeds`` their number is as before.
    """

    event: Literal["extended"]
    trials: NotRequired[_Count]
    seeds: NotRequired[_Count]


class Trial(_Any):
    """A run begins.

    ``kind`` is search (of search trial 7, ``trial`` is t7), seed (t7 again over another seed),
    retime (t7 again alone, for its seconds), winner (t7 trained again to be kept) or rows (t7
    trained again for what its weights say of rows); ``of`` is the trial that is run again.
    ``config`` is what the space gave, which may be refused when the run is set up.
    """

    event: Literal["trial"]
    trial: _Name
    number: NotRequired[_Whole]
    kind: Literal["search", "seed", "retime", "winner", "rows"]
    config: Event
    of: NotRequired[_Name | None]
    params: NotRequired[Event]
    distributions: NotRequired[dict[str, _Distribution]]


class Skipped(_Any):
    """The space calls a point infeasible."""

    event: Literal["skipped"]
    number: _Whole
    params: Event
    distributions: dict[str, _Distribution]
    reason: str


class Setup(_Any):
    """What a run runs on, and what a step costs there.

    On a GPU also the peak memory of the run, the memory of the GPU and, where the run had the GPU
    to itself, what its process took beside torch's reserved memory.
    """

    event: Literal["setup"]
    trial: _Name
    device: str
    plain_s: _Factor
    ratio: _Factor
    warm_up_ratio: NotRequired[_Factor]
    splits: NotRequired[dict[str, str]]
    speed: NotRequired[_Factor]
    extra_speed: NotRequired[_Factor | None]
    memory_bytes: NotRequired[_Whole | None]
    device_bytes: NotRequired[_Count | None]
    context_bytes: NotRequired[_Whole | None]
    host: NotRequired[str]
    versions: NotRequired[dict[str, str | None]]


class Epoch(_Any):
    """A run has come so far.

    ``metrics`` are those of the select split by name, None where it has no value of one. Earlier
    versions wrote the ``accuracy`` alone, which is read as the metrics.
    """

    event: Literal["epoch"]
    trial: _Name
    epoch: _Count
    metrics: NotRequired[_Values]
    accuracy: NotRequired[_Share]
    work_s: _Seconds
    wall_s: NotRequired[_Finite]
    loss: NotRequired[float]
    shares: NotRequired[dict[str, float]]
    unweighed: NotRequired[_Whole]


class Checkpoint(_Any):
    """What a run can go on from."""

    event: Literal["checkpoint"]
    trial: _Name
    epoch: _Whole
    path: str


class Cut(_Any):
    """The scheduler stops it at this epoch."""

    event: Literal["cut"]
    trial: _Name
    rung: _Count


class Lost(_Any):
    """Its process or node is gone, or it ran out of memory; it is to go on from its checkpoint."""

    event: Literal["lost"]
    trial: _Name
    why: Literal["process", "memory"]
    reason: str


class End(_Any):
    """A run is over.

    ``status`` is finished, pruned (cut by the scheduler), stopped (by the budget), infeasible (out
    of memory, on a larger share too) or failed.
    """

    event: Literal["end"]
    trial: _Name
    status: Literal["finished", "pruned", "stopped", "infeasible", "failed"]
    reason: NotRequired[str | None]
    rung: NotRequired[_Count | None]
    metrics: NotRequired[_Values | None]
    accuracy: NotRequired[_Share | None]
    work_s: NotRequired[_Seconds | None]
    wall_s: NotRequired[_Finite | None]


class TestRead(_Any):
    """The test split was read; metrics as of :class:`Epoch`."""

    event: Literal["test_read"]
    trial: _Name
    metrics: NotRequired[_Values]
    accuracy: NotRequired[_Share]
    rows: _Count
    again: bool


class Config(TypedDict):
    """What is read of the configuration of a run that was trained; the rest is its own affair."""

    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]

    task: str
    network: str | None
    method: str
    divergence: str
    steps: _Count
    step_size: float
    bandwidth: float | None
    warm_start: str
    warmup_epochs: _Whole
    representation: str
    epochs: _Count
    batch_size: _Count
    precision: str
    folds: _Count
    fold: _Whole
    seed: _Whole


_Kinds = (
    Session | Extended | Trial | Skipped | Setup | Epoch | Checkpoint | Cut | Lost | End | TestRead
)
_EVENT: TypeAdapter[Any] = TypeAdapter(Annotated[_Kinds, Discriminator("event")])
_CONFIG: TypeAdapter[Any] = TypeAdapter(Config)
_MEASURED = ("epoch", "test_read")
# What a search's log has beyond what is required of a table.
_OF_A_SEARCH = {
    "session": {"packages", "code", "commit", "python", "machine"},
    "trial": {"number", "of", "params", "distributions"},
    "setup": {"splits"},
    "epoch": {"wall_s", "loss"},
    "end": {"reason"},
}


class DamagedError(ValueError):
    """An event that cannot have been written so; the message says what it has or lacks."""


def parse(line: bytes) -> Event | None:
    """The event in a line; None if there is none, as where a kill or a crash tore the line.

    Raises:
        DamagedError: there is one, and a field of it is missing, or of another type or range.
    """
    try:
        event: Event = _EVENT.validate_json(line)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        if fault["type"] == "union_tag_invalid":
            tag = short(fault["ctx"]["tag"])
            raise DamagedError(f"unknown event {tag}, maybe of a newer version") from None
        if not fault["loc"]:  # no JSON, or no object that says which event it is
            return None
        raise DamagedError(f"{fault['loc'][0]} has {told(fault, at=1)}") from None
    return _with_metrics(event)


def _with_metrics(event: Event) -> Event:
    """As it is written now, where an earlier version wrote the accuracy alone."""
    if event["event"] not in _MEASURED or "metrics" in event:
        return event
    if "accuracy" not in event:
        raise DamagedError(f"{event['event']} has no 'metrics'")
    return {**event, "metrics": {"accuracy": event["accuracy"]}}


def check_whole(event: Event) -> None:
    """Refuse an event that lacks what each of its kind has in the log of a search.

    Raises:
        DamagedError: it does.
    """
    kind = event["event"]
    _refuse_lacking(kind, ({"time"} | _OF_A_SEARCH.get(kind, set())) - event.keys())
    if kind == "extended" and "seeds" not in event:
        _refuse_lacking(kind, {"trials"} - event.keys())
    if kind == "trial":
        _refuse_lacking("config of a trial", Config.__required_keys__ - event["config"].keys())


def _refuse_lacking(whose: str, names: set[str] | frozenset[str]) -> None:
    if names:
        raise DamagedError(f"{whose} has no '{min(names)}'")


def check_config(config: Event) -> None:
    """Refuse a configuration that cannot have been trained, see :class:`Config`.

    Raises:
        DamagedError: a field is of another type or range.
    """
    try:
        _CONFIG.validate_python(config)
    except ValidationError as error:
        raise DamagedError(f"config has {first_fault(error)}") from None
