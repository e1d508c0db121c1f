"""Spiking nets of plain parts, which can be written to NIR and read from it."""

from collections.abc import Callable
from typing import Any

from jaxnn.core import Net
from jaxnn.flow import serial
from jaxnn.interop import nir
from jaxnn.layers.convolution.conv import conv
from jaxnn.layers.convolution.pool import avg_pool
from jaxnn.layers.dense import dense
from jaxnn.nets.spiking.membrane import leaky_integrator
from jaxnn.nets.spiking.neurons import SPIKE, lif, synaptic_lif
from jaxnn.nets.spiking.over_time import flat_steps, time_distributed
from jaxnn.printing import factory


@factory
def spiking_chain(*parts: Any, spike: Callable = SPIKE) -> Net:
    """Apply layers and neurons one after the other, given as parts of `jaxnn.interop.nir`.

    Args:
      *parts: plain data, such as `Affine(256)` and `Lif(0.9)`.
      spike: the step and its surrogate gradient, of all neurons; the arctangent by default.

    Returns:
      A net from x [batch, time, ...] to [batch, time, ...], with params as of `serial`; a cell if
      there are neurons.

    Raises:
      TypeError: if something is not a part.
      ValueError: if there are no parts, or if a layer refuses the arguments of its part.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> from jaxnn.interop.nir import Affine, Lif
    >>> chain = nn.spiking.spiking_chain(Affine(8), Lif(0.9), Affine(2), Lif(0.8))
    >>> net, x = nn.unroll(chain), jnp.ones((4, 6, 3))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, x).shape
    (4, 6, 2)

    (Pedersen et al., Neuromorphic intermediate representation: a unified instruction set for
    interoperable brain-inspired computing, 2024.)
    """
    return serial(*(_layer(part, spike) for part in parts))


def _layer(part: Any, spike: Callable) -> Any:
    """The layer or the neurons of a part."""
    match part:
        case nir.Affine(width, bias):
            return dense(width, bias=bias)
        case nir.Conv(width, kernel_size, stride, padding):
            return time_distributed(conv(width, kernel_size, stride=stride, padding=padding))
        case nir.AvgPool(size):
            return time_distributed(avg_pool(size, padding="VALID"))
        case nir.Flatten():
            return flat_steps
        case nir.Lif(decay, threshold, learn):
            return lif(decay, threshold, reset="zero", learn=learn, spike=spike)
        case nir.CubaLif(decay, threshold, synaptic_decay, learn):
            return synaptic_lif(
                decay,
                threshold,
                synaptic_decay=synaptic_decay,
                reset="zero",
                learn=learn,
                spike=spike,
            )
        case nir.Leaky(decay, learn):
            return leaky_integrator(decay, learn=learn)
    raise TypeError(f"spiking_chain takes parts of jaxnn.interop.nir, got {part!r}.")
