"""Entries of the registry: flows."""

import jax
import jax.numpy as jnp

import jaxnn as nn
from tests.registry.entry import HALF, Entry, features
from tests.small import counter, decay, noise

ENTRIES = {
    "serial": Entry(lambda: nn.serial(nn.dense(8), jax.nn.tanh, nn.dense(8)), features(8)),
    "serial by name": Entry(lambda: nn.serial(a=nn.dense(8), b=nn.dense(16)), features(8)),
    "parallel": Entry(
        lambda: nn.serial(nn.parallel(nn.dense(8), jnp.tanh), nn.concatenate), features(8)
    ),
    "parallel by name": Entry(
        lambda: nn.serial(nn.parallel(a=nn.dense(8), b=nn.dense(8)), nn.add), features(8)
    ),
    "residual": Entry(lambda: nn.residual(nn.mlp(16, 8)), features(8)),
    "residual with shortcut": Entry(lambda: nn.residual(nn.dense(16), nn.dense(16)), features(8)),
    "wire": Entry(
        lambda: nn.wire(
            lambda f, x: x * jax.nn.sigmoid(f.gate(f.norm(x))),
            norm=lambda x: x / (1 + jnp.abs(x)),
            gate=nn.dense(8),
        ),
        features(8),
    ),
    "wire with tied weights": Entry(
        lambda: nn.wire(lambda f, x: f.a(jnp.tanh(f.a(x))), a=nn.dense(8)), features(8)
    ),
    "wire within wire": Entry(
        lambda: nn.wire(
            lambda f, x: x + f.inner(x),
            inner=nn.wire(lambda f, x: f.a(x) - x, a=nn.serial(nn.dense(8), noise())),
        ),
        features(8),
    ),
    "repeat": Entry(lambda: nn.repeat(nn.serial(nn.dense(8), jnp.tanh, noise()), 3), features(8)),
    "repeat written out": Entry(lambda: nn.repeat(nn.dense(8), 3, unroll=3), features(8)),
    "ensemble": Entry(lambda: nn.ensemble(nn.mlp(8, 8), 3), features(8), rows=1),
    "remat": Entry(lambda: nn.remat(nn.mlp(16, 8)), features(8)),
    "with_dtype": Entry(lambda: nn.with_dtype(nn.mlp(16, 8), jnp.bfloat16), features(8), HALF),
    "state": Entry(lambda: nn.serial(nn.dense(8), counter()), features(8)),
    "state under repeat": Entry(
        lambda: nn.repeat(nn.serial(nn.dense(8), counter()), 3), features(8)
    ),
    "noise": Entry(lambda: nn.serial(nn.dense(8), noise()), features(8)),
    "carry": Entry(decay, features(6, 8)),
    "carry in serial": Entry(
        lambda: nn.serial(nn.dense(8), decay(), jnp.tanh, counter(), decay()), features(6, 8)
    ),
    "carry in wire": Entry(
        lambda: nn.wire(lambda f, x: x + f.mix(f.memory(x)), memory=decay(), mix=nn.dense(8)),
        features(6, 8),
    ),
    "carry under repeat": Entry(
        lambda: nn.repeat(nn.residual(nn.serial(decay(), nn.dense(8), jnp.tanh)), 3),
        features(6, 8),
    ),
    "carry under ensemble": Entry(lambda: nn.ensemble(decay(), 3), features(6, 8), rows=1),
    "carry under remat": Entry(lambda: nn.remat(nn.serial(decay(), decay())), features(6, 8)),
    "carry with_dtype": Entry(
        lambda: nn.with_dtype(nn.serial(decay(), nn.dense(8)), jnp.bfloat16), features(6, 8), HALF
    ),
}
