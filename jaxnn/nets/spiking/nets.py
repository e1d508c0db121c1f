"""Networks of spiking neurons: stages of weights and neurons, and a read-out of membranes.

They are cells over currents or spikes [batch, time, ...]: `unroll` runs whole sequences, and a step
at a time they run on events as they come. What goes in is made by the codes of
`jaxnn.nets.spiking.encoding`; a picture that is shown all the time is `hold`, behind the first
weights.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import export

from jaxnn import core
from jaxnn.checks import check_function
from jaxnn.core import Cell, Layer, Net
from jaxnn.flow import serial, wire
from jaxnn.layers.convolution.conv import conv
from jaxnn.layers.dense import dense
from jaxnn.nets.spiking.membrane import leaky_integrator
from jaxnn.nets.spiking.neurons import lif
from jaxnn.printing import factory
from jaxnn.sequences.masks import split_mask, zero_masked


class Spiking(NamedTuple):
    """What a spiking net puts out.

    output: of the read-out, [batch, time, classes].
    spikes: of every stage, 0 or 1 in [batch, time, ...].
    """

    output: Any
    spikes: Any


export.register_namedtuple_serialization(Spiking, serialized_name="jaxnn.spiking.Spiking")


@factory
def spiking_net(*stages: Any, head: Any) -> Net:
    """Stages that spike, one after the other, and a head that reads the last: a `Spiking`.

    Args:
      *stages: layers or cells, each with spikes as its output, such as `serial(dense(64), lif())`;
        params are under "stage0", "stage1" and so on.
      head: what reads the spikes of the last, such as `serial(dense(10), leaky_integrator())`.

    Raises:
      ValueError: for no stages.

    >>> import jax, jaxnn as nn
    >>> stage, head = nn.serial(nn.dense(8), nn.spiking.lif()), nn.serial(nn.dense(2),
    ...     nn.spiking.lif())
    >>> net, x = nn.unroll(nn.spiking.spiking_net(stage, head=head)), jax.numpy.ones((4, 6, 3))
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> y = jax.eval_shape(net, params, x)
    >>> y.output.shape, [spikes.shape for spikes in y.spikes]
    ((4, 6, 2), [(4, 6, 8)])
    """
    for each in (*stages, head):
        if not isinstance(each, Layer | Cell) and not callable(each):
            raise TypeError(f"spiking_net takes layers as stages and head, got {each!r}.")
    if not stages:
        raise ValueError(
            "spiking_net takes stages: spiking_net(serial(dense(64), lif()), head=...)."
        )
    named = {f"stage{i}": stage for i, stage in enumerate(stages)}

    def flow(f, x):
        spikes = []
        for name in named:
            x = getattr(f, name)(x)
            spikes.append(x)
        return Spiking(f.head(x), tuple(spikes))

    return wire(flow, **named, head=head)


@factory
def spiking_mlp(
    *widths: int,
    steps: int | None = None,
    neuron: Callable = lif,
    readout: Callable = leaky_integrator,
    w_init: Callable = jax.nn.initializers.lecun_normal(),
) -> Net:
    """Dense layers with spiking neurons between, and the membranes of a read-out: a `Spiking`.

    Args:
      *widths: of the layers, the last of them the outputs.
      steps: for pictures [batch, features] that are shown all the time: the first currents are
        computed once and held for so many steps. None for sequences [batch, time, features].
      neuron: a factory of the neurons, such as `lif`; `partial(lif, 0.8, learn=("decay",))` for one
        with options.
      readout: a factory of what is behind the last layer.
      w_init: initialiser of all weights.

    Raises:
      ValueError: for fewer than two widths, or for what a layer refuses.

    >>> import jax, jaxnn as nn
    >>> net, x = nn.unroll(nn.spiking.spiking_mlp(16, 2, steps=5)), jax.numpy.ones((4, 3))
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).output.shape
    (4, 5, 2)
    """
    widths = tuple(core.check_int(width, "spiking_mlp: widths") for width in widths)
    _factories("spiking_mlp", neuron, readout, w_init)
    if len(widths) < 2:
        raise ValueError(
            f"spiking_mlp takes the widths of its layers, the last of them the outputs, got "
            f"{widths}: spiking_mlp(256, 10), say."
        )
    stages = [[dense(width, w_init=w_init), neuron()] for width in widths[:-1]]
    if steps is not None:
        stages[0].insert(1, repeat_in_time(steps))
    head = serial(dense(widths[-1], w_init=w_init), readout())
    return spiking_net(*(serial(*stage) for stage in stages), head=head)


@factory
def spiking_cnn(
    classes: int,
    *widths: int,
    steps: int | None = None,
    kernel_size: int = 3,
    neuron: Callable = lif,
    readout: Callable = leaky_integrator,
    w_init: Callable = jax.nn.initializers.lecun_normal(),
) -> Net:
    """Convolutions of stride 2 with spiking neurons behind, and a dense read-out: a `Spiking`.

    Args:
      classes: outputs.
      *widths: channels of each convolution, which halves height and width.
      steps: for pictures [batch, height, width, channels] that are shown all the time, as in
        `spiking_mlp`. None for sequences of pictures [batch, time, height, width, channels].
      kernel_size: of all convolutions.
      neuron, readout, w_init: as in `spiking_mlp`.

    Raises:
      ValueError: for no widths, or for what a layer refuses.

    >>> import jax, jaxnn as nn
    >>> net, x = nn.unroll(nn.spiking.spiking_cnn(10, 8, 16, steps=5)), jax.numpy.ones((4, 12, 12,
    ...     1))
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> [spikes.shape for spikes in jax.eval_shape(net, params, x).spikes]
    [(4, 5, 6, 6, 8), (4, 5, 3, 3, 16)]
    """
    widths = tuple(core.check_int(width, "spiking_cnn: widths") for width in widths)
    _factories("spiking_cnn", neuron, readout, w_init)
    if not widths:
        raise ValueError(
            "spiking_cnn takes the width of each convolution: spiking_cnn(10, 16, 32)."
        )
    stages = []
    for i, width in enumerate(widths):
        each = conv(width, kernel_size, stride=2, w_init=w_init)
        if i == 0 and steps is not None:
            stages.append(serial(each, repeat_in_time(steps), neuron()))
        else:
            stages.append(serial(time_distributed(each), neuron()))
    head = serial(
        flat_steps, dense(core.check_int(classes, "spiking_cnn: classes"), w_init=w_init), readout()
    )
    return spiking_net(*stages, head=head)


@factory
def time_distributed(layer: Any) -> Layer:
    """A layer run on every step of a sequence: [batch, time, ...] goes in as [batch * time, ...].

    It is for layers that take the axes between batch and features for space, as convolutions and
    pools do. A batch norm under it counts every step as a row.

    Raises:
      TypeError: for a cell, which has steps of its own.
      ValueError: for x without a time axis.

    >>> import jax, jaxnn as nn
    >>> net, x = nn.spiking.time_distributed(nn.conv(8, 3, stride=2)), jax.numpy.ones((4, 6, 10,
    ...     10, 1))
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape
    (4, 6, 5, 5, 8)
    """
    child = core.lift(layer)
    if not isinstance(child, Layer):
        raise TypeError("each_step takes a layer: a cell runs over the steps by itself.")

    def folded(x):
        if x.ndim < 3:
            raise ValueError(f"each_step takes [batch, time, ...], got {core.describe(x)}.")
        return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])

    def init(key, x):
        return child.init(key, jax.eval_shape(folded, x))

    def apply(params, state, x, *, key=None, train=False):
        y, state = child.apply(params, state, folded(x), key=key, train=train)
        return y.reshape(*x.shape[:2], *y.shape[1:]), state

    couples = "" if child.couples in core.ALONG_TIME else child.couples
    return Layer(init, apply, couples)


@factory
def repeat_in_time(steps: int) -> Layer:
    """The same input at every step: x [batch, ...] to y [batch, steps, ...], y_t = x.

    Raises:
      ValueError: for fewer than one step.

    >>> import jax, jaxnn as nn
    >>> nn.spiking.repeat_in_time(5)((), jax.numpy.ones((4, 3))).shape
    (4, 5, 3)
    """
    steps = core.check_int(steps, "repeat_in_time: steps")

    def held(x):
        # As a scan it has a gradient that adds up step by step, with time first as neurons have it:
        # the sum that a broadcast has is far slower on a CPU.
        _, y = jax.lax.scan(lambda x, _: (x, x), x, length=steps)
        return jnp.swapaxes(y, 0, 1)

    return core.lift(held)


@factory
def row_blocks(layer: Any, rows: int) -> Layer:
    """A layer run on so many rows at a time, and once more in the backward pass.

    What a spiking net remembers of every step is much, and goes to slow memory where it is large;
    of few rows it is little. The output and the gradient are those of the layer itself, up to the
    order of sums.

    Args:
      layer: a layer without state whose rows do not see each other, such as an `unroll`.
      rows: of a block; they divide the batch.

    Raises:
      TypeError: for a cell.
      ValueError: for rows less than 1 or that do not divide the batch, and for a layer with state.

    >>> import jax, jaxnn as nn
    >>> net, x = nn.spiking.row_blocks(nn.dense(2), 4), jax.numpy.ones((8, 3))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, x).shape
    (8, 2)
    """
    child, rows = core.lift(layer), core.check_int(rows, "row_blocks: rows")
    if not isinstance(child, Layer):
        raise TypeError("row_blocks takes a layer: unroll the cell first.")

    def blocks(leaf):
        if leaf.shape[0] % rows:
            raise ValueError(f"row_blocks: {rows} rows do not divide {core.describe(leaf)}.")
        return leaf.reshape(-1, rows, *leaf.shape[1:])

    def init(key, x):
        params, state = child.init(key, x)
        if not core.is_stateless(state):
            raise ValueError(f"row_blocks takes a layer without state, {child.name} has one.")
        return params, ()

    def apply(params, state, x, *, key=None, train=False):
        x = jax.tree.map(blocks, x)

        @jax.checkpoint
        def block(params, x, i):
            return child.apply(params, (), x, key=core.fold_in(key, i), train=train)[0]

        index = jnp.arange(jax.tree.leaves(x)[0].shape[0])
        y = jax.lax.map(lambda each: block(params, *each), (x, index))
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), y), ()

    return Layer(init, apply)


def spike_rate(spikes: Any, mask: Any = None) -> jax.Array:
    """Spikes a neuron a step, over all the leaves of spikes [batch, time, ...] together.

    Args:
      spikes: floats, one array or a pytree of them.
      mask: bool [batch, time], the steps that count, or None where all do.

    Returns:
      one number in float32 at least; NaN of no steps.

    Raises:
      TypeError, ValueError: for spikes that are not floats [batch, time, ...], or another mask.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.spiking.spike_rate((jnp.ones((1, 2, 3)), jnp.zeros((1, 2, 1)))).tolist()
    0.75
    """
    leaves = jax.tree.leaves(spikes)
    for leaf in leaves:
        if core.check_features(leaf, "spike_rate").ndim < 2:
            raise ValueError(f"spike_rate takes [batch, time, ...], got {core.describe(leaf)}.")
    if not leaves:
        raise ValueError("spike_rate takes spikes [batch, time, ...], got none.")
    total, count = jnp.float32(0), jnp.float32(0)
    for leaf in core.at_least_float32(leaves):
        there = None
        if mask is not None:
            leaf, there = split_mask((leaf, mask))
            leaf = zero_masked(leaf, there)
        each = math.prod(leaf.shape[2:])
        steps = leaf.shape[0] * leaf.shape[1] if there is None else there.sum()
        total, count = total + leaf.sum(), count + jnp.asarray(steps, jnp.float32) * each
    return total / count.astype(total.dtype)


def _factories(title: str, neuron: Any, readout: Any, w_init: Any) -> None:
    """Raises TypeError where a factory is not a function, or a cell is given in its place."""
    for given, what in ((neuron, "neuron"), (readout, "readout"), (w_init, "w_init")):
        if isinstance(given, Layer | Cell):
            raise TypeError(
                f"{title}: {what} must be a function that makes neurons, such as nn.spiking.lif "
                f"without parentheses or partial(nn.spiking.lif, 0.8), got a {given.name} "
                "that is made."
            )
        check_function(given, f"{title}: {what}")


def flat_steps(x):
    """The features of every step in one row."""
    return x.reshape(*x.shape[:2], math.prod(x.shape[2:]))
