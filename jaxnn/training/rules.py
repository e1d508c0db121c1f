"""From the path and the shape of a leaf to axes of a mesh: what the recipes of sharding share."""

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from math import prod
from typing import Any, NamedTuple

from jax.sharding import Mesh, PartitionSpec

Shapes = Mapping[str, tuple[int, ...]]  # by path
Way = Any  # an int, a tuple of ints, a PartitionSpec, None, a function, `Largest` or `Experts`


class Largest(NamedTuple):
    """The largest axis of a leaf that the mesh divides and no other rule has taken is cut.

    Of a stack of matrices, as under `repeat`, it is one of the last two axes, since a scan takes
    the first apart. Leaves of fewer than `smallest` entries are whole on every device.
    """

    smallest: int


class Experts(NamedTuple):
    """The axis of the experts of a mixture is cut: the first, after those of `repeat`."""


class Group(NamedTuple):
    """The rules of one recipe over one axis of the mesh.

    pairs: (pattern, way); for each leaf the first pattern that matches counts.
    each: whether every pattern must match some leaf; otherwise one of them must.
    """

    recipe: str
    axis: str
    pairs: tuple[tuple[str, Way], ...]
    each: bool


def specs_of(groups: tuple[Group, ...], mesh: Mesh, shapes: Shapes) -> dict[str, PartitionSpec]:
    """How each leaf of the params lies on the mesh, by path.

    Raises:
      ValueError: if a pattern matches no path, or an axis of a leaf is not divided by the mesh.
    """
    for group in groups:
        _check_matched(group, shapes)
    # What goes by the largest axis takes one of those that the others leave.
    ordered = sorted(groups, key=lambda group: any(isinstance(w, Largest) for _, w in group.pairs))
    return {path: _spec(ordered, mesh, path, shapes) for path in shapes}


def spec_beside(groups: tuple[Group, ...], mesh: Mesh, path: str, shape: tuple) -> PartitionSpec:
    """How a leaf lies that belongs to no param, such as a factored moment: by its shape alone."""
    by_shape = [group for group in groups if all(isinstance(w, Largest) for _, w in group.pairs)]
    return _spec(by_shape, mesh, path, {path: shape})


def merged(first: Any, second: Any) -> tuple:
    """The axes of two `PartitionSpec`s together, those of the first outside."""
    length = max(len(first), len(second))
    both = zip(_padded(first, length), _padded(second, length), strict=True)
    return tuple(_entry(names_of(one) + names_of(two)) for one, two in both)


def names_of(entry: Any) -> tuple[str, ...]:
    """The axes of the mesh in an entry of a `PartitionSpec`."""
    return () if entry is None else entry if isinstance(entry, tuple) else (entry,)


def parts_of(mesh: Mesh, entry: Any) -> int:
    """The number of parts into which an entry of a `PartitionSpec` cuts an axis."""
    return prod(mesh.shape[name] for name in names_of(entry))


def nearest(size: int, parts: int) -> str:
    """The multiples of `parts` next to a size, in words."""
    below = size // parts * parts
    return f"{below} or {below + parts}" if below else f"{parts}"


def undivided(entry: Any, what: str, size: int, parts: int) -> str:
    """The message for an axis of `size` that does not divide into `parts`."""
    names = names_of(entry)
    of = f"the mesh axis {names[0]!r}" if len(names) == 1 else f"the mesh axes {list(names)}"
    mend = f"make it {nearest(size, parts)}"
    return f"{what} is {size}, which the {parts} devices of {of} do not divide: {mend}"


def _check_matched(group: Group, shapes: Shapes) -> None:
    unmatched = [
        pattern
        for pattern, _ in group.pairs
        if not any(fnmatchcase(path, pattern) for path in shapes)
    ]
    few = unmatched if group.each else unmatched if len(unmatched) == len(group.pairs) else []
    if few and shapes:
        which = repr(few[0]) if group.each else f"any rule of {group.recipe}"
        raise ValueError(
            f"{group.recipe}: no path of the params matches {which}: they are "
            f"{', '.join(list(shapes)[:20])}{', ...' if len(shapes) > 20 else ''}."
        )


def _spec(groups: Any, mesh: Mesh, path: str, shapes: Shapes) -> PartitionSpec:
    shape, spec = shapes[path], ()
    for group in groups:
        way = next((way for pattern, way in group.pairs if fnmatchcase(path, pattern)), None)
        made = _cut(group, way, mesh, path, shapes, spec)
        place = f"{group.recipe}: {path or 'the params'} of shape {list(shape)}"
        if len(made) > len(shape):
            raise ValueError(f"{place} has {len(shape)} axes, and its rule {made} more.")
        spec = merged(spec, made)
        names = [name for entry in spec for name in names_of(entry)]
        if len(set(names)) < len(names) or not set(names) <= set(mesh.shape):
            raise ValueError(
                f"{place} is cut by {PartitionSpec(*spec)}: use each axis of the mesh, "
                f"{list(mesh.shape)}, once at most."
            )
        for i, entry in enumerate(spec):
            if shape[i] % parts_of(mesh, entry):
                text = undivided(entry, f"{place}: axis {i}", shape[i], parts_of(mesh, entry))
                raise ValueError(f"{text}, or give rules of your own for this path.")
    while spec and spec[-1] is None:
        spec = spec[:-1]
    return PartitionSpec(*spec)


def _cut(group: Group, way: Way, mesh: Mesh, path: str, shapes: Shapes, taken: tuple) -> tuple:
    """The entries of a `PartitionSpec` that a way asks for."""
    shape, parts = shapes[path], mesh.shape[group.axis]
    free = _padded(taken, len(shape))
    if isinstance(way, Largest):
        if prod(shape) < way.smallest:
            return ()
        axes = [
            i for i in range(len(shape)) if free[i] is None and shape[i] and not shape[i] % parts
        ]
        last = [i for i in axes if i >= len(shape) - 2]
        axes = sorted(last or axes, key=lambda i: -shape[i])
        return _only(axes[0], group.axis) if axes else ()
    if isinstance(way, Experts):
        return _only(_stacked(path, shapes), group.axis)
    if isinstance(way, Callable):
        way = way(path, shape)
    if way is None:
        return ()
    if isinstance(way, PartitionSpec):
        return tuple(way)
    tried = way if isinstance(way, tuple) else (way,)
    for axis in tried:
        if not isinstance(axis, int) or not -len(shape) <= axis < len(shape):
            if isinstance(way, tuple):
                continue
            raise ValueError(
                f"{group.recipe}: {path or 'the params'} of shape {list(shape)} has no axis "
                f"{axis}: give an axis that it has, a PartitionSpec, or None to leave it whole."
            )
        axis %= len(shape)
        # Of several axes the first that can be cut counts; of one, the check says what is wrong.
        if isinstance(way, int) or (shape[axis] % parts == 0 and free[axis] is None):
            return _only(axis, group.axis)
    return ()


def _stacked(path: str, shapes: Shapes) -> int:
    """How many axes `repeat` has put before those of an expert's leaf: as before its router's."""
    before = path.rpartition("experts/")[0]
    routers = [shapes[key] for key in (f"{before}router/w", f"{before}gate/w") if key in shapes]
    return len(routers[0]) - 2 if routers else 0


def _only(axis: int, name: str) -> tuple:
    return (*(None,) * axis, name)


def _padded(spec: Any, length: int) -> tuple:
    return (*spec, *(None,) * (length - len(spec)))


def _entry(names: tuple[str, ...]) -> Any:
    return None if not names else names[0] if len(names) == 1 else names
