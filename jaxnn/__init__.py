"""Neural networks as named pairs of pure functions over pytrees."""

from jaxnn import training

# Combinators
from jaxnn.combine import ensemble, remat, repeat, with_dtype

# The protocol
from jaxnn.core import Cell, Layer, cast, lift

# Flows
from jaxnn.flow import add, concatenate, parallel, residual, serial, wire

# Looking inside
from jaxnn.inspection import rows, summary, taps

# Layers: attention
from jaxnn.layers.attention import attention, cross_attention

# Layers: recurrent cells
from jaxnn.layers.cells import elman, gru, mgu

# Layers: images
from jaxnn.layers.conv import conv, conv_transpose, depthwise_conv
from jaxnn.layers.dense import dense

# Layers: tokens and their positions
from jaxnn.layers.embed import embedding, learned_positions, sinusoidal_positions
from jaxnn.layers.linear_recurrent import linear_scan, lru, min_gru, min_lstm
from jaxnn.layers.lstm import conv_lstm, lstm
from jaxnn.layers.neuron import init_neuron, linear, neuron, weighted_sum

# Layers: noise, norms and reparametrizations
from jaxnn.layers.noise import drop_path, dropout, gaussian_dropout, gaussian_noise
from jaxnn.layers.norm import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from jaxnn.layers.pool import (
    adaptive_avg_pool,
    adaptive_max_pool,
    avg_pool,
    global_avg_pool,
    global_max_pool,
    max_pool,
)
from jaxnn.layers.reparam import spectral_norm, weight_norm
from jaxnn.layers.reshape import flatten, pixel_shuffle, upsample
from jaxnn.layers.rotary import alibi_slopes, rotary

# Losses and metrics
from jaxnn.losses import accuracy, mse

# Networks
from jaxnn.nets.mlp import mlp

# Sequences
from jaxnn.padding import length_mask
from jaxnn.sequence import (
    bidirectional,
    chunkwise,
    recurrent,
    stack,
    unroll,
)

# Pytrees of params
from jaxnn.tree import decayed, freeze, labels, mask, nbytes, size

__version__ = "0.1.0"

__all__ = [
    "Cell",
    "Layer",
    "accuracy",
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "add",
    "alibi_slopes",
    "attention",
    "avg_pool",
    "batch_norm",
    "bidirectional",
    "cast",
    "chunkwise",
    "concatenate",
    "conv",
    "conv_lstm",
    "conv_transpose",
    "cross_attention",
    "decayed",
    "dense",
    "depthwise_conv",
    "drop_path",
    "dropout",
    "elman",
    "embedding",
    "ensemble",
    "flatten",
    "freeze",
    "gaussian_dropout",
    "gaussian_noise",
    "global_avg_pool",
    "global_max_pool",
    "group_norm",
    "gru",
    "init_neuron",
    "instance_norm",
    "labels",
    "layer_norm",
    "learned_positions",
    "length_mask",
    "lift",
    "linear",
    "linear_scan",
    "lru",
    "lstm",
    "mask",
    "max_pool",
    "mgu",
    "min_gru",
    "min_lstm",
    "mlp",
    "mse",
    "nbytes",
    "neuron",
    "parallel",
    "pixel_shuffle",
    "recurrent",
    "remat",
    "repeat",
    "residual",
    "rms_norm",
    "rotary",
    "rows",
    "serial",
    "sinusoidal_positions",
    "size",
    "spectral_norm",
    "stack",
    "summary",
    "taps",
    "training",
    "unroll",
    "upsample",
    "weight_norm",
    "weighted_sum",
    "wire",
    "with_dtype",
]
