"""What is turned: one number of a training run, while the rest of it stays."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from adiw_tune.errors import UserError
from adiw_tune.training import METHODS, TrialConfig

_AROUND = (Fraction(1, 4), Fraction(1, 2), 1, 2, 4)  # of the configuration's own value
_NONE = Fraction(0)
_SHARES = "1/8,1/4,1/2,1"
_BY_MINI_BATCH = ("adiw", "giw", "random")
_STEPPING = (*_BY_MINI_BATCH, "static")  # towards weights
_MATCHING = (*_BY_MINI_BATCH, "diw", "diw-published", "l2rw")  # mini-batches of reference rows


@dataclass(frozen=True)
class Room:
    """How far dials can be turned here.

    Args:
        train_rows, reference_rows: how many the configuration's data has.
        devices: GPUs; cores where there is none.
    """

    train_rows: int
    reference_rows: int
    devices: int


@dataclass(frozen=True)
class Point:
    """A configuration with its dial at one value.

    Args:
        value: where the dial stands, in the unit of its axis.
        config: with that value, if it is one of its fields.
        train_rows: how many of the training rows to train on; None for all.
        workers: processes that share each mini-batch, whose size stays.
    """

    value: int
    config: TrialConfig
    train_rows: int | None = None
    workers: int = 1

    @property
    def plain_step(self) -> tuple[int, int]:
        """What of a dial a plain step depends on: the rows in a mini-batch, and who shares them."""
        rows = self.config.batch_size  # at most: of fewer training rows it has all
        return min(rows, self.train_rows or rows), self.workers


@dataclass(frozen=True)
class Dial:
    """Something of a run that can be turned.

    Args:
        name: what the command line calls it.
        axis: what its values count.
        turned: a configuration at a value.
        defaults: values for a configuration, of which there may not be room for all.
        most: the largest value that there is room for; None: there is no such.
        bound: what there are so many of.
        methods: those to which it makes a difference.
        read: a value from its text.
    """

    name: str
    axis: str
    turned: Callable[[TrialConfig, int], Point]
    defaults: Callable[[TrialConfig, Room], list[int]]
    most: Callable[[Room], int | None]
    bound: str = ""
    methods: tuple[str, ...] = METHODS
    read: Callable[[str, Room], int] = lambda text, room: _whole(text)

    def points(self, config: TrialConfig, room: Room, values: str | None) -> list[Point]:
        """``config`` at each value, the lowest first and none twice.

        Args:
            config: what is turned.
            room: how far it can be.
            values: as a user writes them, separated by commas; None for the dial's defaults.

        Raises:
            UserError: the dial makes no difference to the configuration's method; or a value is
                none, or more than there is room for.
        """
        if config.method not in self.methods:
            raise UserError(
                f"dial {self.name} turns nothing of method {config.method}: choose another dial, "
                f"or a trial of method {', '.join(self.methods)}"
            )
        if self.methods != METHODS and config.epochs <= config.warmup_epochs:
            raise UserError(
                f"dial {self.name} turns nothing of a trial of {config.epochs} epochs, all of them "
                "warm-up: choose another dial, or a longer trial"
            )
        most = self.most(room)
        if values is None:
            wanted = self.defaults(config, room)
            some = [value for value in wanted if most is None or value <= most]
        else:
            some = [self.read(text, room) for text in values.split(",")]
        if most is not None and max(some) > most:
            raise UserError(
                f"--values of {self.name} must be at most {most}, the {self.bound}; got {max(some)}"
            )
        return [self.turned(config, value) for value in sorted(set(some))]


def find_dial(name: str) -> Dial:
    """The dial called ``name``."""
    if name not in DIALS:
        raise UserError(f"unknown dial '{name}': choose one of {', '.join(DIALS)}")
    return DIALS[name]


def _whole(text: str) -> int:
    if not re.fullmatch(r"\s*[0-9]{1,12}\s*", text) or int(text) < 1:
        raise UserError(f"--values must be whole numbers above 0, such as 1,2,4; got '{text}'")
    return int(text)


def _rows_of_share(text: str, room: Room) -> int:
    try:  # a few digits at most: Fraction writes out what 1e-999999999 means
        share = Fraction(text.strip()) if re.fullmatch(r"\s*[0-9./]{1,20}\s*", text) else _NONE
    except (ValueError, ZeroDivisionError):
        share = _NONE
    if not 0 < share <= 1:
        raise UserError(
            f"--values of n-train must be shares in (0, 1], such as {_SHARES}; got '{text}'"
        )
    return max(1, int(share * room.train_rows))


def _field(name: str) -> Callable[[TrialConfig, int], Point]:
    def turned(config: TrialConfig, value: int) -> Point:
        return Point(value, TrialConfig.from_mapping({**config.as_dict(), name: value}))

    return turned


def _around(own: int) -> list[int]:
    return [max(1, int(own * factor)) for factor in _AROUND]


_ALL = (
    Dial(
        name="workers",
        axis="workers",
        turned=lambda config, value: Point(value, config, workers=value),
        defaults=lambda config, room: [*(2**k for k in range(room.devices.bit_length()))],
        most=lambda room: room.devices,
        bound="number of GPUs here, or else of cores",
    ),
    Dial(
        name="batch",
        axis="rows in a mini-batch",
        turned=_field("batch_size"),
        # A mini-batch has all training rows where it asks for more than there are.
        defaults=lambda config, room: _around(min(config.batch_size, room.train_rows)),
        most=lambda room: room.train_rows,
        bound="number of training rows",
    ),
    Dial(
        name="reference",
        axis="reference rows in a mini-batch",
        turned=_field("reference_batch_size"),
        # A mini-batch has all reference rows where it asks for more than there are.
        defaults=lambda config, room: _around(
            min(config.reference_batch_size, room.reference_rows)
        ),
        most=lambda room: room.reference_rows,
        bound="number of reference rows",
        methods=_MATCHING,
    ),
    Dial(
        name="steps",
        axis="weight steps in a mini-batch",
        turned=_field("steps"),
        defaults=lambda config, room: [1, *_around(config.steps)],
        most=lambda room: None,
        methods=_STEPPING,
    ),
    Dial(
        name="n-train",
        axis="training rows",
        turned=lambda config, value: Point(value, config, train_rows=value),
        defaults=lambda config, room: [_rows_of_share(text, room) for text in _SHARES.split(",")],
        most=lambda room: room.train_rows,
        read=_rows_of_share,
    ),
)
DIALS: dict[str, Dial] = {dial.name: dial for dial in _ALL}
