"""Chains of weights and spiking neurons to and from NIR, the neuromorphic intermediate form.

NIR's neurons live in continuous time. Over steps of dt, as its readers take them,
tau v' = -v + r x is v_t = decay v_{t-1} + x_t with decay = 1 - dt / tau and r = tau / dt. NIR's
neurons go to a value after a spike, and so do these: they are what is trained with reset="zero".
NIR's images have channels first.

A chain is a tuple of parts, plain data; `jaxnn.spiking.spiking_chain` makes the net, whose params
lie beside them. `nir.write` and `nir.read` of the package nir put a graph into a file.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxnn.checks import install
from jaxnn.core import Tree

DT = 1e-4  # seconds; what snnTorch takes a step of NIR's to be


class Affine(NamedTuple):
    """`dense`: x w + b."""

    width: int
    bias: bool = True


class Conv(NamedTuple):
    """`conv` over two axes, with as many zeros on both sides of an axis."""

    width: int
    kernel_size: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)


class AvgPool(NamedTuple):
    """`avg_pool` of windows that do not overlap."""

    size: tuple[int, int]


class Flatten(NamedTuple):
    """The places and channels of a step as one row of features."""


class Lif(NamedTuple):
    """`lif` that goes to zero; a decay of 1 is NIR's IF."""

    decay: float = 0.9
    threshold: float = 1.0
    learn: tuple[str, ...] = ()


class CubaLif(NamedTuple):
    """`synaptic_lif` that goes to zero."""

    decay: float = 0.9
    threshold: float = 1.0
    synaptic_decay: float = 0.8
    learn: tuple[str, ...] = ()


class Leaky(NamedTuple):
    """`leaky_integrator`."""

    decay: float = 0.9
    learn: tuple[str, ...] = ()


Part = Affine | Conv | AvgPool | Flatten | Lif | CubaLif | Leaky


def to_nir(parts: Sequence[Part], params: Tree, shape: tuple[int, ...], *, dt: float = DT) -> Any:
    """A graph of NIR of a chain and its params.

    Args:
      parts: the chain.
      params: of `jaxnn.spiking.spiking_chain(*parts)`: a tuple with those of each part.
      shape: of x at one step, (features,) or (height, width, channels).
      dt: the length of a step in seconds.

    Returns:
      `nir.NIRGraph`.

    Raises:
      ImportError: if the package nir is not installed, with the command that installs it.
      ValueError: if there are no parts, or the params are of another chain.

    (Pedersen et al., Neuromorphic intermediate representation: a unified instruction set for
    interoperable brain-inspired computing, 2024.)
    """
    nir = _library()
    if not parts or not isinstance(params, tuple | list) or len(params) != len(parts):
        raise ValueError(
            f"to_nir takes parts and a tuple of as many params, got {len(parts)} parts and params "
            f"for {len(params) if isinstance(params, tuple | list) else type(params).__name__}."
        )
    at: Any = tuple(shape)
    order: Any = None  # order: of features that were images, by ours
    nodes: list[Any] = [nir.Input(np.array(_first(at)))]
    for part, weights in zip(parts, params, strict=True):
        if isinstance(part, Flatten):
            order = np.arange(math.prod(at)).reshape(at)
            order = np.moveaxis(order, -1, 0).ravel()
            node = nir.Flatten({"input": np.array(_first(at))}, start_dim=0)
            at = (math.prod(at),)
        elif isinstance(part, Affine):
            w = np.array(weights["w"])
            if w.shape[0] != at[-1] or len(at) != 1:
                raise ValueError(f"to_nir: weights {list(w.shape)} do not take {list(at)}.")
            w, order = (w if order is None else w[order]), None
            node = nir.Affine(w.T.copy(), np.array(weights["b"])) if part.bias else nir.Linear(w.T)
            at = (part.width,)
        elif isinstance(part, Conv):
            w = np.array(weights["w"])
            node = nir.Conv2d(
                at[:2], w.transpose(3, 2, 0, 1).copy(), part.stride, part.padding, 1, 1,
                np.array(weights["b"]),
            )  # fmt: skip
            at = (*map(int, node.output_type["output"][1:]), part.width)
        elif isinstance(part, AvgPool):
            size = np.array(part.size)
            node = nir.AvgPool2d(size, size, np.zeros_like(size))
            at = (at[0] // part.size[0], at[1] // part.size[1], at[2])
        else:
            node = _neuron(nir, part, weights, at, dt)
            if order is not None:
                raise ValueError("to_nir: neurons come before the flattening, or after weights.")
        nodes.append(node)
    nodes.append(nir.Output(np.array(_first(at))))
    return nir.NIRGraph.from_list(*nodes)


def _neuron(nir: Any, part: Any, weights: Any, at: tuple, dt: float) -> Any:
    """A node of neurons, with a number for each."""

    def full(name):
        value = getattr(part, name)
        if name in part.learn:
            raw = np.asarray(weights[name], np.float64)
            value = 1 / (1 + np.exp(-raw)) if name.endswith("decay") else np.exp(raw)
        return np.ascontiguousarray(np.moveaxis(np.broadcast_to(value, at), -1, 0), np.float64)

    zeros = np.zeros(_first(at))
    decay = full("decay")
    if isinstance(part, Lif) and (decay == 1).all():
        return nir.IF(zeros + 1 / dt, full("threshold"), zeros)
    if (decay >= 1).any():
        raise ValueError("to_nir: a decay of 1 has no time constant; only Lif has it, as IF.")
    tau = dt / (1 - decay)
    if isinstance(part, Leaky):
        return nir.LI(tau, tau / dt, zeros)
    if isinstance(part, Lif):
        return nir.LIF(tau, tau / dt, zeros, full("threshold"), zeros)
    synaptic = dt / (1 - full("synaptic_decay"))
    return nir.CubaLIF(synaptic, tau, tau / dt, zeros, full("threshold"), zeros, w_in=synaptic / dt)


def from_nir(graph: Any, *, dt: float = DT) -> tuple[tuple[Part, ...], tuple]:
    """The parts and params of a graph of NIR that is a chain.

    Numbers that are the same for all neurons become those of the part; numbers of each feature
    become learned ones. A threshold is measured in what a neuron takes in: r and the weight of its
    input are divided out of it.

    Args:
      graph: `nir.NIRGraph`, of nodes one after the other.
      dt: the length of a step in seconds.

    Returns:
      (parts, params), for `jaxnn.spiking.spiking_chain(*parts)`.

    Raises:
      ImportError: if the package nir is not installed, with the command that installs it.
      ValueError: if the graph is not a chain, for nodes of another kind, and for neurons that rest
        at, or go to, what is not zero.
    """
    nir = _library()
    parts: list[Part] = []
    params: list[Any] = []
    shape: Any = None  # where features were images, theirs: (channels, height, width)
    for name, node in _chain(nir, graph):
        part, weights = _part(nir, name, node, dt, shape)
        if isinstance(part, Flatten):
            shape = tuple(int(n) for n in node.input_type["input"])
        elif isinstance(part, Affine):
            shape = None
        parts.append(part)
        params.append(weights)
    return tuple(parts), tuple(params)


def _part(nir: Any, name: str, node: Any, dt: float, shape: Any) -> tuple[Part, Any]:
    if isinstance(node, nir.Affine | nir.Linear):
        w: Any = np.asarray(node.weight).T
        if shape is not None:
            w = w.reshape(*shape, -1).transpose(1, 2, 0, 3).reshape(w.shape)
        bias = isinstance(node, nir.Affine)
        weights = {"w": w.copy(), "b": np.asarray(node.bias)} if bias else {"w": w.copy()}
        return Affine(w.shape[1], bias), weights
    if isinstance(node, nir.Conv2d):
        if node.groups != 1 or isinstance(node.padding, str) or set(node.dilation) != {1}:
            raise ValueError(f"from_nir: {name} has groups, dilation or padding by name.")
        w = np.asarray(node.weight).transpose(2, 3, 1, 0).copy()
        part = Conv(int(w.shape[-1]), _pair(w.shape[:2]), _pair(node.stride), _pair(node.padding))
        return part, {"w": w, "b": np.asarray(node.bias)}
    if isinstance(node, nir.AvgPool2d):
        size = _pair(node.kernel_size)
        if _pair(node.stride) != size or any(_pair(node.padding)):
            raise ValueError(f"from_nir: the windows of {name} overlap or are padded.")
        return AvgPool(size), ()
    if isinstance(node, nir.Flatten):
        axes = len(node.input_type["input"])
        start, end = (int(n) % max(axes, 1) for n in (node.start_dim, node.end_dim))
        if (start, end) != (0, axes - 1):
            raise ValueError(
                f"from_nir: {name} flattens axes {start} to {end} of {axes}: only a flattening of "
                "all of them, start_dim=0, is a part."
            )
        return Flatten(), ()
    return _from_neuron(nir, name, node, dt)


def _from_neuron(nir: Any, name: str, node: Any, dt: float) -> tuple[Part, Any]:
    if not isinstance(node, nir.LIF | nir.IF | nir.LI | nir.CubaLIF):
        raise ValueError(f"from_nir: {name} is {type(node).__name__}, which no part is.")
    for zero in ("v_leak", "v_reset"):
        if np.any(getattr(node, zero, 0)):
            raise ValueError(f"from_nir: {zero} of {name} is not zero, where these neurons go.")
    for title in ("tau", "tau_mem", "tau_syn", "r", "w_in"):
        value = np.asarray(getattr(node, title, 1.0), np.float64)
        least = dt if title.startswith("tau") else None
        fits = np.isfinite(value) & (value != 0 if least is None else value >= least)
        if not fits.all():
            wanted = "not zero" if least is None else f"at least a step of {dt} seconds"
            raise ValueError(
                f"from_nir: {title} of {name} must be finite and {wanted}, got "
                f"{value[~fits].flat[0]}."
            )
    current = 1.0
    found: dict[str, Any] = {}
    if isinstance(node, nir.IF):
        found["decay"], gain = np.ones_like(node.r, np.float64), dt * node.r
    elif isinstance(node, nir.CubaLIF):
        found["decay"], gain = 1 - dt / node.tau_mem, dt * node.r / node.tau_mem
        found["synaptic_decay"] = 1 - dt / node.tau_syn
        current = dt * node.w_in / node.tau_syn
    else:
        found["decay"], gain = 1 - dt / node.tau, dt * node.r / node.tau
    if isinstance(node, nir.LI):
        if not np.allclose(gain, 1):
            raise ValueError(
                f"from_nir: {name} scales what it takes in; scale the weights instead."
            )
        kind: Any = Leaky
    else:
        found["threshold"] = node.v_threshold / (gain * current)
        if not (np.isfinite(found["threshold"]) & (found["threshold"] > 0)).all():
            raise ValueError(
                f"from_nir: the threshold of {name} over its gain must be finite and positive: a "
                "neuron that a negative input makes spike is no part."
            )
        kind = CubaLif if isinstance(node, nir.CubaLIF) else Lif
    numbers: dict[str, Any] = {}
    weights: dict[str, Any] = {}
    for each, value in found.items():
        value = np.asarray(value, np.float64)
        numbers[each] = float(value.flat[0])
        if not np.allclose(value, value.flat[0], rtol=1e-9):
            # Channels first: every place of a channel has to have the same number.
            rows = value.reshape(value.shape[0], -1)
            if not np.allclose(rows, rows[:, :1], rtol=1e-9):
                raise ValueError(f"from_nir: {each} of {name} differs from place to place.")
            rate = each.endswith("decay")
            raw = np.log(rows[:, 0] / (1 - rows[:, 0])) if rate else np.log(rows[:, 0])
            weights[each] = raw.astype(np.float32)
    return kind(**numbers, learn=tuple(weights)), weights or ()


def _chain(nir: Any, graph: Any) -> list[tuple[str, Any]]:
    """The nodes between input and output, in their order."""
    takes = "from_nir takes a chain: one input, one output, and one way between"
    after: dict[str, str] = {}
    for name, following in graph.edges:
        if name in after:
            raise ValueError(f"{takes}; {name} goes to {after[name]} and to {following}.")
        after[name] = following
    starts = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
    if len(starts) != 1 or starts[0] not in after:
        raise ValueError(f"{takes}; it has {len(starts)} inputs with a way on.")
    found, name, met = [], after[starts[0]], {starts[0]}
    while name in after:
        if name in met:
            raise ValueError(f"{takes}; {name} comes again after itself: recurrence is no part.")
        met.add(name)
        found.append((name, graph.nodes[name]))
        name = after[name]
    if not isinstance(graph.nodes[name], nir.Output):
        raise ValueError(f"{takes}; it ends at {name}, a {type(graph.nodes[name]).__name__}.")
    rest = sorted(set(graph.nodes) - met - {name})
    if rest:
        raise ValueError(f"{takes}; {', '.join(rest)} lie beside it.")
    return found


def _first(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape with channels first."""
    return (shape[-1], *shape[:-1])


def _pair(value: Any) -> tuple[int, int]:
    a, b = np.broadcast_to(np.asarray(value), 2)
    return int(a), int(b)


def _library() -> Any:
    try:
        import nir
    except ImportError as error:
        raise ImportError(f"graphs of NIR need the package nir: {install('nir')}") from error
    return nir
