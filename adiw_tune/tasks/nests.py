"""Nests: a mini-batch's inputs are a tensor, or dicts, lists and tuples of tensors."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from torch import Tensor, nn

# A tensor, or a mapping or sequence of nests: which of them only the user's network knows.
Nest: TypeAlias = Any


def mapped(function: Callable[..., Any], *nests: Nest) -> Nest:
    """The nest of what ``function`` makes of each tensor, or of those in one place of ``nests``.

    Mappings become dicts; lists, tuples and named tuples stay what they are. Whatever is none of
    these is a leaf, and is handed to ``function``.
    """
    first = nests[0]
    if isinstance(first, Mapping):
        return {key: mapped(function, *(nest[key] for nest in nests)) for key in first}
    if isinstance(first, list | tuple):
        parts = [mapped(function, *some) for some in zip(*nests, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    return function(*nests)


def named(nest: Nest, name: str = "inputs") -> Iterator[tuple[str, Any]]:
    """Each leaf with its name, such as inputs['mask'] or inputs[0], in the order of ``mapped``."""
    if isinstance(nest, Mapping):
        for key, part in nest.items():
            yield from named(part, f"{name}[{key!r}]")
    elif isinstance(nest, list | tuple):
        for place, part in enumerate(nest):
            yield from named(part, f"{name}[{place}]")
    else:
        yield name, nest


def leaves(nest: Nest) -> list[Tensor]:
    """All tensors, by their names: the order of a dict's keys makes no difference."""
    return [tensor for _, tensor in sorted(named(nest), key=lambda pair: pair[0])]


def shapes(nest: Nest) -> str:
    """Of each tensor name, shape and dtype: inputs['mask'] [8, 12] torch.bool, ..."""
    return ", ".join(f"{at} {list(x.shape)} {x.dtype}" for at, x in named(nest))


def call(module: nn.Module, inputs: Nest) -> Any:
    """The output of ``module`` on ``inputs``.

    A dict is passed as keyword arguments, and a tuple or list as positional arguments, if the
    signature of ``module.forward`` accepts them. Otherwise ``inputs`` is passed as one argument.
    """
    if isinstance(inputs, Mapping) and _takes(module, (), inputs):
        return module(**inputs)
    if isinstance(inputs, list | tuple) and _takes(module, inputs, {}):
        return module(*inputs)
    return module(inputs)


def _takes(module: nn.Module, given: Sequence[Any], named: Mapping[Any, Any]) -> bool:
    try:
        inspect.signature(module.forward).bind(*given, **named)
    except (TypeError, ValueError):  # they do not fit; there is no signature
        return False
    return True
