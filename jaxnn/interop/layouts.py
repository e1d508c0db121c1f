"""Names and shapes of other libraries and ours, translated in both directions by one table.

A layout is a table of rows, each with a layer of theirs beside its place in our params. The kind of
the layer says how the names of its arrays and the order of their axes differ. Where depth is a
`repeat`, one row is for all layers: "{i}" in their name counts along our leading axis.
"""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import numpy as np

from jaxnn.checks import check_choice
from jaxnn.core import Tree
from jaxnn.interop.names import check_names, flatten_names, listed, load_into


# How an array of theirs lies in ours, as a view of it.
def _same(w: np.ndarray) -> np.ndarray:
    return w


def _turned(w: np.ndarray) -> np.ndarray:
    return w.T


def _conv(w: np.ndarray) -> np.ndarray:
    """[*size, channels, width] as [width, channels, *size]."""
    return np.moveaxis(w, (-1, -2), (0, 1))


def _conv_transpose(w: np.ndarray) -> np.ndarray:
    """[*size, channels, width] as [channels, width, *size]."""
    return np.moveaxis(w, (-2, -1), (0, 1))


BIAS = ("bias", "b", _same)
# Cells of PyTorch have a bias for the input and one for the memory, of which ours is the sum; only
# where a GRU resets its memory do they differ, and there ours is "b_h".
RECURRENT = (
    ("weight_ih", "w", _turned),
    ("weight_hh", "u", _turned),
    ("bias_ih", "b", _same),
    ("weight_hr", "projection", _turned),
)
# For each kind of layer: (the end of their name, the end of ours, how theirs lies in ours).
# "transposed_linear" is what Hugging Face calls Conv1D, "conv" a convolution with or without
# groups, "running" what a batch norm keeps in state, beside "norm" for its params, and "recurrent"
# an LSTM, a plain RNN or the cell of one.
KINDS = {
    "linear": (("weight", "w", _turned), BIAS),
    "transposed_linear": (("weight", "w", _same), BIAS),
    "conv": (("weight", "w", _conv), BIAS),
    "conv_transpose": (("weight", "w", _conv_transpose), BIAS),
    "norm": (("weight", "scale", _same), BIAS),
    "running": (("running_mean", "mean", _same), ("running_var", "variance", _same)),
    "table": (("weight", "w", _same),),
    "recurrent": RECURRENT,
    "gru": (*RECURRENT[:3], ("bias_hh", "b_h", _same)),
}


class NameRow(NamedTuple):
    """A layer of theirs beside its place in our params.

    theirs: its name there, or several names, whose arrays are concatenated along our last axis. A
    "*" in it is replaced by the name of the array, which otherwise follows a dot:
    "lstm.*_l0_reverse". ours: our name. kind: one of `KINDS`. shares: the widths of several names,
    in proportion; equal by default.
    """

    theirs: str | tuple[str, ...]
    ours: str
    kind: str
    shares: tuple[int, ...] = ()


class Layout(NamedTuple):
    """How a family of networks is named elsewhere.

    rows: the table. prefix: what their names begin with in files of whole models; other files omit
    it. tied: their names of arrays that are another one of ours. passed: patterns of their names
    that are not weights of the network, and are skipped.
    """

    rows: tuple[NameRow, ...]
    prefix: str = ""
    tied: Mapping[str, str] = {}
    passed: tuple[str, ...] = ()


def from_layout(layout: Layout, tensors: Mapping[str, Any], like: Tree) -> Tree:
    """Params in the structure of `like`, from tensors under the names of another library.

    Args:
      layout: the table.
      tensors: arrays by their names, as `load` and `load_torch` return them.
      like: params of the network, or `ShapeDtypeStruct`s from `jax.eval_shape(net.init, key, x)`;
        for running statistics {"params": params, "state": state}, with these names in the rows.

    Returns:
      A pytree of arrays with the structure, shapes and dtypes of `like`.

    Raises:
      ValueError: if names are missing or left over on either side, or shapes differ, listing all of
        them; if tied tensors are not equal.

    >>> import jax, jaxnn as nn
    >>> layout = nn.interop.Layout((nn.interop.NameRow("fc", "", "linear"),))
    >>> like, _ = nn.dense(2).init(jax.random.key(0), jax.numpy.ones((4, 3)))
    >>> theirs = {"fc.weight": jax.numpy.ones((2, 3)), "fc.bias": jax.numpy.ones(2)}
    >>> nn.interop.from_layout(layout, theirs, like)["w"].shape
    (3, 2)
    """
    # Each of theirs is a view into one of ours, which says its shape, and takes it in.
    arrays = {name: np.empty(leaf.shape, leaf.dtype) for name, leaf in flatten_names(like).items()}
    prefix = layout.prefix if any(name.startswith(layout.prefix) for name in tensors) else ""
    views, spare = _views(layout, arrays, prefix)
    given = {name: tensor for name, tensor in tensors.items() if not _passed(layout, name)}
    for name, source in layout.tied.items():
        source = source if prefix else source.removeprefix(layout.prefix)
        twin = given.pop(name, None)
        if twin is not None and source in given and not np.array_equal(twin, given[source]):
            raise ValueError(
                f"{name} is not {source}, to which the layout ties it: set tie_word_embeddings to "
                "false in the configuration."
            )
    for bias, other in _biases(views):
        _join(given, bias, other, views)
    check_names(views, given, spare)
    for name, view in views.items():
        view[...] = given[name]
    return load_into(like, arrays)


def to_layout(layout: Layout, params: Tree) -> dict[str, np.ndarray]:
    """The arrays of a network under the names of another library, for `save`; tied ones once.

    Args:
      layout: the table.
      params: the params of the network.

    Returns:
      A dict from their names to arrays.

    Raises:
      ValueError: if the network has arrays that the table does not have, or the reverse.

    >>> import jax, jaxnn as nn
    >>> layout = nn.interop.Layout((nn.interop.NameRow("fc", "", "linear"),))
    >>> params, _ = nn.dense(2).init(jax.random.key(0), jax.numpy.ones((4, 3)))
    >>> {name: w.shape for name, w in nn.interop.to_layout(layout, params).items()}
    {'fc.weight': (2, 3), 'fc.bias': (2,)}
    """
    arrays = {name: np.asarray(leaf) for name, leaf in flatten_names(params).items()}
    views, spare = _views(layout, arrays, layout.prefix)
    absent = [row.ours for row in layout.rows if not any(name in arrays for name in _ours(row))]
    if spare or absent:
        raise ValueError(
            "these params are not of this layout's net"
            + (f"; left over in the net: {listed(spare)}" if spare else "")
            + (f"; left over in the layout: {listed(absent)}" if absent else "")
            + "."
        )
    for bias, other in _biases(views):
        ahead = np.zeros(len(views[bias]) - len(views.get(other, ())), views[bias].dtype)
        views[other] = np.concatenate([ahead, views.get(other, ahead[:0])])
    return views


def _biases(views: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Their names of the biases of input and memory, for each recurrent layer."""
    return [(name, name.replace("bias_ih", "bias_hh")) for name in views if "bias_ih" in name]


def _join(given: dict[str, Any], bias: str, other: str, views: Mapping[str, Any]) -> None:
    """Adds their bias of the memory to that of the input, but for what is ours by itself."""
    both = bias in given and other in given
    if not both or np.shape(given[bias]) != np.shape(given[other]):
        missing = " and ".join(name for name in (bias, other) if name not in given)
        raise ValueError(
            f"a recurrent layer has two biases of one shape, {bias} and {other}; "
            + (f"missing: {missing}." if missing else "these are of two.")
        )
    of_memory = np.asarray(given.pop(other))
    apart = len(views.get(other, ()))
    summed = len(of_memory) - apart
    if apart:
        given[other] = of_memory[summed:]
    given[bias] = given[bias] + np.concatenate([of_memory[:summed], of_memory[summed:] * 0])


def _array(layer: str, end: str) -> str:
    """Their name of an array of a layer."""
    return layer.replace("*", end) if "*" in layer else f"{layer}.{end}"


def _views(
    layout: Layout, arrays: Mapping[str, np.ndarray], prefix: str
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Theirs by name, each a view of ours; and the names of ours that are in no row."""
    views, spare = {}, dict.fromkeys(arrays)
    for row in layout.rows:
        names = _ours(row)
        for (theirs, _, view), name in zip(KINDS[row.kind], names, strict=True):
            if name in arrays:
                spare.pop(name)
                for layer, part in _parts(row, arrays[name]):
                    layer = layer if prefix else layer.removeprefix(layout.prefix)
                    views[_array(layer, theirs)] = view(part)
    return views, list(spare)


def _ours(row: NameRow) -> list[str]:
    check_choice(row.kind, f"the kind of {row.theirs}", KINDS)
    return [f"{row.ours}.{end}".lstrip(".") for _, end, _ in KINDS[row.kind]]


def _parts(row: NameRow, leaf: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Their layers by name, with the part of the leaf that is theirs."""
    names = (row.theirs,) if isinstance(row.theirs, str) else row.theirs
    shares = np.cumsum(row.shares or (1,) * len(names))
    for i, layer in enumerate(leaf if "{i}" in names[0] else leaf[None]):
        ends = shares * layer.shape[-1] // shares[-1]
        for name, part in zip(names, np.split(layer, ends[:-1], axis=-1), strict=True):
            yield name.replace("{i}", str(i)), part


def _passed(layout: Layout, name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in layout.passed)
