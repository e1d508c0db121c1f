"""A net prints as the code that made it, and a signature without an address."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from jaxnn.printing import short, text
from tests.registry import ENTRIES

PRINTED = {
    "serial(dense(32), tanh, dense(1))": lambda: nn.serial(nn.dense(32), jnp.tanh, nn.dense(1)),
    "dense(3, bias=False, w_init=zeros)": lambda: nn.dense(
        3, bias=False, w_init=jax.nn.initializers.zeros
    ),
    "unroll(stack(lstm(8), dropout(0.5)))": lambda: nn.unroll(
        nn.stack(nn.lstm(8), nn.dropout(0.5))
    ),
    "repeat(residual(dense(4)), 3)": lambda: nn.repeat(nn.residual(nn.dense(4)), 3),
    "wire(lambda, a=dense(3))": lambda: nn.wire(lambda f, x: f.a(x), a=nn.dense(3)),
    "gcn(16)": lambda: nn.graph.gcn(16),
    "conv(8, (3, 5), stride=2)": lambda: nn.conv(8, (3, 5), stride=2),
    "tanh": lambda: nn.lift(jnp.tanh),
}
VALUES = {
    "he_normal()": jax.nn.initializers.he_normal(),
    "glorot_uniform()": jax.nn.initializers.glorot_uniform(),
    "normal(stddev=0.02)": jax.nn.initializers.normal(0.02),
    "constant(value=3.0)": jax.nn.initializers.constant(3.0),
    "variance_scaling(scale=3.0, mode='fan_in', distribution='uniform')": (
        jax.nn.initializers.variance_scaling(3.0, "fan_in", "uniform")
    ),
    "partial(gelu, approximate=False)": functools.partial(jax.nn.gelu, approximate=False),
    "lambda": lambda x: x,
    "float32[2,3]": np.ones((2, 3), np.float32),
    "(1,)": (1,),
    "{'a': relu}": {"a": jax.nn.relu},
}


@pytest.mark.parametrize("printed", PRINTED)
def test_a_net_prints_as_its_code(printed):
    assert repr(PRINTED[printed]()) == printed


@pytest.mark.parametrize("printed", VALUES)
def test_a_value_prints_as_its_code(printed):
    assert text(VALUES[printed]) == printed


@pytest.mark.parametrize("name", ENTRIES)
def test_two_equal_nets_print_alike_and_without_an_address(name):
    one, other = ENTRIES[name].make(), ENTRIES[name].make()
    assert repr(one) == repr(other)
    assert " at 0x" not in repr(one)


def test_no_signature_shows_an_address():
    public = [nn, nn.training, nn.interop, nn.graph, nn.spiking, nn.som, nn.rbf, nn.capsule, nn.gan]
    for space in [*public, nn.detection, nn.mixture, nn.autoencoder, nn.ctc]:
        for name in dir(space):
            if inspect.isfunction(getattr(space, name)):
                signature = str(inspect.signature(getattr(space, name)))
                assert " at 0x" not in signature, (name, signature)


def test_an_error_shows_a_net_as_its_code_and_in_one_line():
    with pytest.raises(TypeError, match=r"forward must be a Cell, got dense\(3\)"):
        nn.bidirectional(nn.dense(3))  # pyright: ignore[reportArgumentType]
    assert len(short(nn.serial(*[nn.dense(1000)] * 50))) == 80
