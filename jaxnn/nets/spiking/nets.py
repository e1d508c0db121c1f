"""Networks of spiking neurons: stages of weights and neurons, and a readout of membranes.

They are cells over currents or spikes [batch, time, ...]: `unroll` runs whole sequences, and as
cells they process events step by step as they arrive. Inputs are made by the codes of
`jaxnn.nets.spiking.encoding`, or repeated at every step behind the first weights.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import export

from jaxnn import core
from jaxnn.checks import check_function
from jaxnn.core import Cell, Layer, Net
from jaxnn.flow import serial, wire
from jaxnn.layers.convolution.conv import conv
from jaxnn.layers.dense import dense
from jaxnn.nets.spiking.membrane import leaky_integrator
from jaxnn.nets.spiking.neurons import lif
from jaxnn.nets.spiking.over_time import flat_steps, repeat_in_time, time_distributed
from jaxnn.printing import factory


class Spiking(NamedTuple):
    """The output of a spiking net.

    Attributes:
      output: the output of the readout, [batch, time, classes].
      spikes: the spikes of every stage, a tuple of 0 or 1 in [batch, time, ...].

    >>> import jaxnn as nn
    >>> nn.spiking.Spiking._fields
    ('output', 'spikes')
    """

    output: Any
    spikes: Any


export.register_namedtuple_serialization(Spiking, serialized_name="jaxnn.spiking.Spiking")


@factory
def spiking_net(*stages: Any, head: Any) -> Net:
    """Apply stages that spike, one after the other, and a head that reads the last one.

    s_0 = stage_0(x), s_i = stage_i(s_{i-1}), output = head(s_last)

    Args:
      *stages: layers or cells that output spikes, such as `serial(dense(64), lif())`; their params
        are under "stage0", "stage1" and so on.
      head: a layer or cell that reads the spikes of the last stage, such as
        `serial(dense(10), leaky_integrator())`.

    Returns:
      A net from x [batch, time, ...] to a `Spiking`; a cell if a stage or the head is one.

    Raises:
      TypeError: if a stage or the head is not a layer.
      ValueError: if there are no stages.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> stage = nn.serial(nn.dense(8), nn.spiking.lif())
    >>> head = nn.serial(nn.dense(2), nn.spiking.leaky_integrator())
    >>> net, x = nn.unroll(nn.spiking.spiking_net(stage, head=head)), jnp.ones((4, 6, 3))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> y = net(params, x)
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
    """Dense layers with spiking neurons between them, and the membranes of a readout.

    s_i = neuron(dense_i(s_{i-1})), output = readout(dense_last(s))

    Args:
      *widths: the widths of the layers; the last is the number of outputs.
      steps: the number of steps for static inputs [batch, features]: the first currents are
        computed once and repeated at every step. None for sequences [batch, time, features].
      neuron: a function that makes neurons, such as `lif`, or `partial(lif, 0.8,
        learn=("decay",))`.
      readout: a function that makes the cell behind the last layer.
      w_init: initializer of all weights; LeCun normal by default.

    Returns:
      A cell from x [batch, features] with steps, and otherwise [batch, time, features], to a
      `Spiking` with output [batch, time, last width].

    Raises:
      TypeError: if neuron, readout or w_init is not a function.
      ValueError: if there are fewer than two widths, or if a width or steps is less than 1.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.unroll(nn.spiking.spiking_mlp(16, 2, steps=5)), jnp.ones((4, 3))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, x).output.shape
    (4, 5, 2)

    (Neftci, Mostafa and Zenke, Surrogate gradient learning in spiking neural networks, 2019.)
    """
    widths = tuple(core.check_int(width, "spiking_mlp: widths") for width in widths)
    _check_makers("spiking_mlp", neuron, readout, w_init)
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
    """Convolutions of stride 2, each followed by spiking neurons, and a dense readout.

    s_i = neuron(conv_i(s_{i-1})), output = readout(dense(flatten(s)))

    Args:
      classes: the number of outputs.
      *widths: the channels of each convolution, which halves height and width.
      steps: the number of steps for static images [batch, height, width, channels]: the first
        currents are computed once and repeated at every step. None for sequences of images
        [batch, time, height, width, channels].
      kernel_size: the kernel size of all convolutions.
      neuron: a function that makes neurons, such as `lif`, or `partial(lif, 0.8,
        learn=("decay",))`.
      readout: a function that makes the cell behind the last layer.
      w_init: initializer of all weights; LeCun normal by default.

    Returns:
      A cell from images with steps, and otherwise from sequences of images, to a `Spiking` with
      output [batch, time, classes].

    Raises:
      TypeError: if neuron, readout or w_init is not a function.
      ValueError: if there are no widths, or if a width, classes or steps is less than 1.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net = nn.unroll(nn.spiking.spiking_cnn(10, 8, 16, steps=5))
    >>> x = jnp.ones((4, 12, 12, 1))
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> [spikes.shape for spikes in jax.eval_shape(net, params, x).spikes]
    [(4, 5, 6, 6, 8), (4, 5, 3, 3, 16)]

    (Neftci, Mostafa and Zenke, Surrogate gradient learning in spiking neural networks, 2019.)
    """
    widths = tuple(core.check_int(width, "spiking_cnn: widths") for width in widths)
    _check_makers("spiking_cnn", neuron, readout, w_init)
    if not widths:
        raise ValueError(
            "spiking_cnn takes the width of each convolution: spiking_cnn(10, 16, 32)."
        )
    classes = core.check_int(classes, "spiking_cnn: classes")
    stages = []
    for i, width in enumerate(widths):
        convolution = conv(width, kernel_size, stride=2, w_init=w_init)
        if i == 0 and steps is not None:
            stages.append(serial(convolution, repeat_in_time(steps), neuron()))
        else:
            stages.append(serial(time_distributed(convolution), neuron()))
    head = serial(flat_steps, dense(classes, w_init=w_init), readout())
    return spiking_net(*stages, head=head)


def _check_makers(title: str, neuron: Any, readout: Any, w_init: Any) -> None:
    """Raises TypeError unless each is a function; a cell is not."""
    for given, what in ((neuron, "neuron"), (readout, "readout"), (w_init, "w_init")):
        if isinstance(given, Layer | Cell):
            raise TypeError(
                f"{title}: {what} must be a function that makes neurons, such as nn.spiking.lif "
                f"without parentheses or partial(nn.spiking.lif, 0.8), got {given!r}, which is "
                "already a cell."
            )
        check_function(given, f"{title}: {what}")
