"""Entries of the registry: layers."""

import jax
import jax.numpy as jnp

import jaxnn as nn
from jaxnn.layers.embed import embedding, learned_positions, sinusoidal_positions
from jaxnn.layers.noise import drop_path, dropout, gaussian_dropout, gaussian_noise
from jaxnn.layers.norm import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from jaxnn.layers.weight_reparam import spectral_norm, weight_norm
from tests.registry.entry import HALF, Entry, features, masked, tokens
from tests.small import counter, decay

ENTRIES = {
    "dense": Entry(lambda: nn.dense(16), features(8)),
    "dense without bias": Entry(lambda: nn.dense(16, bias=False), features(8)),
    "dense over time": Entry(lambda: nn.dense(8), features(5, 8)),
    "function": Entry(lambda: nn.serial(jax.nn.tanh), features(8)),
    "batch_norm": Entry(batch_norm, features(8)),
    "batch_norm of images": Entry(batch_norm, features(4, 4, 8)),
    "batch_norm without params": Entry(
        lambda: nn.serial(nn.dense(8, bias=False), batch_norm(scale=False, bias=False)), features(8)
    ),
    "batch_norm masked": Entry(batch_norm, masked(6, 8)),
    "batch_norm in half precision": Entry(
        lambda: nn.with_dtype(batch_norm(), jnp.bfloat16), features(8), HALF
    ),
    "layer_norm": Entry(layer_norm, features(5, 8)),
    "layer_norm over two axes": Entry(lambda: layer_norm(axes=2, bias=False), features(5, 8)),
    "rms_norm": Entry(rms_norm, features(5, 8)),
    "group_norm": Entry(lambda: group_norm(4), features(4, 4, 16)),
    "group_norm of vectors": Entry(lambda: group_norm(2), features(8)),
    "instance_norm": Entry(instance_norm, features(4, 4, 8)),
    "dropout": Entry(lambda: nn.serial(nn.dense(8), dropout(0.5)), features(8)),
    "dropout of channels": Entry(
        lambda: nn.serial(nn.dense(8), dropout(0.5, shared=(1, 2))), features(4, 4, 8)
    ),
    "drop_path": Entry(lambda: nn.residual(nn.serial(nn.dense(8), drop_path(0.5))), features(5, 8)),
    "gaussian_noise": Entry(lambda: nn.serial(nn.dense(8), gaussian_noise(0.5)), features(8)),
    "gaussian_dropout": Entry(lambda: gaussian_dropout(0.5), features(8)),
    "embedding": Entry(lambda: embedding(16, 8), tokens(5)),
    "embedding with padding": Entry(lambda: embedding(16, 8, padding=3), tokens()),
    "embedding tied": Entry(
        lambda: nn.wire(lambda f, t: f.embed(jnp.tanh(f.embed(t))), embed=embedding(16, 8)),
        tokens(5),
    ),
    "learned_positions": Entry(lambda: learned_positions(6), features(6, 8)),
    "sinusoidal_positions": Entry(sinusoidal_positions, features(6, 8)),
    "embedding and positions": Entry(
        lambda: nn.serial(embedding(16, 8), learned_positions(6), nn.dense(8)), tokens(6)
    ),
    # The iteration runs until u and v are exact: they get no gradient, and then need none.
    "spectral_norm": Entry(lambda: spectral_norm(nn.dense(8), steps=100), features(8)),
    "spectral_norm of a cell": Entry(
        lambda: spectral_norm(nn.serial(nn.dense(8), decay()), steps=100), features(6, 8)
    ),
    "weight_norm": Entry(lambda: weight_norm(nn.mlp(16, 8)), features(8)),
    "weight_norm of a cell": Entry(
        lambda: weight_norm(nn.serial(nn.dense(8), counter(), decay())), features(6, 8)
    ),
    "log_mel": Entry(
        lambda: nn.serial(nn.log_mel(8, 800, window=24, hop=16, size=32), nn.dense(8)), features(72)
    ),
    "mlp": Entry(lambda: nn.mlp(16, 16, 8), features(8)),
    "mlp of tanh": Entry(lambda: nn.mlp(16, 8, activation=jax.nn.tanh), features(8)),
}
