"""Windows that slide over the spatial axes of x [batch, *space, channels]."""

from collections.abc import Callable, Iterator
from itertools import product
from operator import add
from typing import Any, NamedTuple, TypeAlias

import jax
from jax import lax

from jaxnn import core
from jaxnn.core import Layer

Sizes: TypeAlias = int | tuple[int, ...]  # one number for all spatial axes, or one for each
Padding: TypeAlias = str | int | tuple[Any, ...]  # of ints and (low, high) pairs

MODES = ("SAME", "VALID", "CAUSAL", "SYMMETRIC")


class Window(NamedTuple):
    """A window over n spatial axes, with a number or a (low, high) pair of pads for each."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]

    @property
    def span(self) -> tuple[int, ...]:
        """The extent of the window, including the gaps of its dilation."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.size, self.dilation, strict=True))


def sizes(value: Any, what: str, least: int = 1) -> Sizes:
    """One number for all axes or a tuple of them; raises ValueError if one is too small."""
    if isinstance(value, tuple | list):
        if not 1 <= len(value) <= 3:
            raise ValueError(f"{what} takes a number for each of 1 to 3 axes, got {value!r}.")
        return tuple(core.check_int(each, what, least) for each in value)
    return core.check_int(value, what, least)


def rank(title: str, *values: Any) -> int:
    """The number of axes that the arguments are for; 1 if they are single numbers."""
    lengths = {len(value) for value in values if isinstance(value, tuple)}
    if len(lengths) > 1:
        raise ValueError(
            f"{title} got arguments for {sorted(lengths)} axes: give as many for each."
        )
    return lengths.pop() if lengths else 1


def per_dim(value: Any, n: int, what: str) -> tuple:
    """One value for each of n spatial axes; raises ValueError if their number differs."""
    if not isinstance(value, tuple):
        return (value,) * n
    if len(value) != n:
        raise ValueError(
            f"{what} has {len(value)} entries {value}, the input has {n} spatial axes: give an "
            "entry for each, or one number for all."
        )
    return value


def spatial(x: Any, title: str) -> int:
    """The number of spatial axes, 1 to 3, of x [batch, *space, channels]; raises otherwise."""
    core.check_features(x, title)
    if not 3 <= x.ndim <= 5:
        raise ValueError(
            f"{title} takes [batch, *space, channels] with 1 to 3 spatial axes, got "
            f"{core.describe(x)}: reshape it."
        )
    return x.ndim - 2


def paddings(value: Any, what: str, modes: tuple[str, ...] = MODES) -> Padding:
    """The padding given to a layer, checked: a mode, or a number or pair for each axis."""
    if isinstance(value, str):
        if value.upper() in modes:
            return value.upper()
        raise ValueError(f"{what} is one of {', '.join(modes)}, or numbers, got {value!r}.")
    if not isinstance(value, tuple | list):
        return core.check_int(value, what, 0)
    for pad in value:
        if isinstance(pad, tuple | list) and len(pad) != 2:
            raise ValueError(f"{what} takes (low, high) for an axis, got {pad!r}.")
    return tuple(
        tuple(core.check_int(side, what, 0) for side in pad)
        if isinstance(pad, tuple | list)
        else core.check_int(pad, what, 0)
        for pad in value
    )


def pairs(padding: Any, n: int, what: str) -> tuple[tuple[int, int], ...]:
    """Numbers and pairs as a (low, high) pair for each of n axes."""
    pads = per_dim(padding, n, what)
    return tuple(pad if isinstance(pad, tuple) else (pad, pad) for pad in pads)


def over(n: int, size: Sizes, stride: Sizes, dilation: Sizes, title: str = "") -> Window:
    """A window over n axes without padding; raises ValueError if an argument does not fit."""
    size = per_dim(size, n, f"{title}: window")
    stride = per_dim(stride, n, f"{title}: stride")
    return Window(size, stride, per_dim(dilation, n, f"{title}: dilation"), ((0, 0),) * n)


def sliding(
    title: str, name: str, size: Any, stride: Any, dilation: Any, padding: Any
) -> Callable[[Any], Window]:
    """Checks the arguments of a layer, and returns a function that fits them to an input.

    Args:
      title: name of the layer.
      name: name of its argument that is the window's size.
      size: the window's size, as given to the layer.
      stride: as given to the layer.
      dilation: as given to the layer.
      padding: as given to the layer.

    Raises:
      ValueError: at once if a number is too small, the padding is unknown, SYMMETRIC padding meets
        an even window or CAUSAL padding more than one axis; when fitting, if the numbers of axes
        differ or the window is larger than the input.
    """
    size, stride = sizes(size, f"{title}: {name}"), sizes(stride, f"{title}: stride")
    dilation, padding = (
        sizes(dilation, f"{title}: dilation"),
        paddings(padding, f"{title}: padding"),
    )
    n = rank(title, size, stride, dilation, padding)
    if padding == "SYMMETRIC" and any(
        span % 2 == 0 for span in over(n, size, stride, dilation).span
    ):
        raise ValueError(
            f"{title}: SYMMETRIC padding takes a {name} of odd extent, got {size} with dilation "
            f"{dilation}: make it odd, or pad SAME or by (low, high) pairs."
        )
    if padding == "CAUSAL" and n > 1:
        raise ValueError(f"{title}: CAUSAL padding is for one axis of time, got {name} {size}.")

    def fit(x):
        n = spatial(x, title)
        at, space = over(n, size, stride, dilation, title), x.shape[1:-1]
        if padding == "CAUSAL":
            if n != 1:
                raise ValueError(
                    f"{title}: CAUSAL padding is for [batch, time, channels], got "
                    f"{core.describe(x)}: give (low, high) pairs."
                )
            pads = ((at.span[0] - 1, 0),)
        elif padding == "SYMMETRIC":
            pads = tuple((span // 2, span // 2) for span in at.span)
        elif isinstance(padding, str):
            pads = tuple(map(tuple, lax.padtype_to_pads(space, at.span, at.stride, padding)))
        else:
            pads = pairs(padding, n, f"{title}: padding")
        for length, span, (low, high) in zip(space, at.span, pads, strict=True):
            if length + low + high < span:
                raise ValueError(
                    f"{title}: a window of {at.span} is larger than its input {core.describe(x)} "
                    f"padded by {pads}: make the {name} smaller, or pad more."
                )
        return at._replace(pads=pads)

    return fit


def padded(x: jax.Array, pads: tuple[tuple[int, int], ...], value: float = 0) -> jax.Array:
    """x with its spatial axes padded, or cropped where a pad is negative."""
    scalar = jax.numpy.asarray(value, x.dtype)
    return lax.pad(x, scalar, [(0, 0, 0), *((low, high, 0) for low, high in pads), (0, 0, 0)])


def steps(length: int, span: int, stride: int) -> int:
    """The number of windows that fit into a padded length."""
    return (length - span) // stride + 1


def taps(x: jax.Array, at: Window) -> Iterator[jax.Array]:
    """The values of padded x at each position of the window, for every step, in row-major order."""
    places = product(*(range(0, span, d) for span, d in zip(at.span, at.dilation, strict=True)))
    counts = map(steps, x.shape[1:-1], at.span, at.stride)
    reach = [(count - 1) * s + 1 for count, s in zip(counts, at.stride, strict=True)]
    for place in places:
        stop = (x.shape[0], *map(add, place, reach), x.shape[-1])
        yield lax.slice(x, (0, *place, 0), stop, (1, *at.stride, 1))


def plain(title: str, function: Callable) -> Layer:
    """A function of an array as a layer of the given name, without params or state."""
    function.__name__ = title
    layer = core.lift(function)
    return Layer(layer.init, layer.apply, title if title in core.OVER_SPACE else "", title)
