"""Row numbers in the items of a data set: what the memory of weights goes by."""

import operator
from collections.abc import Mapping
from typing import Any

from torch.utils.data import Dataset, IterableDataset

from adiw_tune.errors import UserError
from adiw_tune.ranges import shown


class IndexedDataset(Dataset[Any]):
    """A data set whose items tell their row numbers, for ``index`` of an ImportanceWeighter.

        train_set = IndexedDataset(TensorDataset(x, y))
        for x, y, index in DataLoader(train_set, batch_size=64, shuffle=True): ...

    Row i comes as ``(*item, i)`` where the item is a tuple or a list, as ``{**item, key: i}`` where
    it is a mapping, and else as ``(item, i)``. i is an int, of which collating makes int64 [n].
    Wrap the training rows before they are shuffled, sampled or dealt to processes.

    Args:
        dataset: with ``__len__`` and ``__getitem__``. Mini-batches are read by its
            ``__getitems__``, if it has one.
        key: what row numbers are called in a mapping, "index" by default.

    Raises:
        UserError: ``dataset`` has no rows by number, or an item has ``key`` already.
    """

    def __init__(self, dataset: Any, key: str = "index") -> None:
        by_number = hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")
        if isinstance(dataset, IterableDataset) or not by_number:
            raise UserError(
                "dataset must give rows by number, with __len__ and __getitem__; got "
                f"{shown(dataset):.100}"
            )
        self.dataset = dataset
        self.key = key

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, row: int) -> Any:
        row = self._counted(row)
        return self._numbered(self.dataset[row], row)

    def __getitems__(self, rows: list[int]) -> list[Any]:
        rows = [self._counted(row) for row in rows]
        read = getattr(self.dataset, "__getitems__", None)
        items = read(rows) if read else [self.dataset[row] for row in rows]
        return [self._numbered(item, row) for item, row in zip(items, rows, strict=True)]

    def _counted(self, row: int) -> int:
        """From the start: a negative number counts from the end."""
        return range(len(self))[operator.index(row)]

    def _numbered(self, item: Any, row: int) -> Any:
        if not isinstance(item, Mapping):
            return (*item, row) if isinstance(item, tuple | list) else (item, row)
        if self.key in item:
            raise UserError(
                f"item {row} has '{self.key}' already: name row numbers otherwise, as "
                f"IndexedDataset(dataset, key='row')"
            )
        return {**item, self.key: row}
