"""The encoder, its embeddings and the classifier."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

import jaxnn as nn

ENCODER = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "max_position_embeddings": 512,
}
DROPOUT = 0.1


def embedding(features: jax.Array, lengths: jax.Array) -> jax.Array:
    """The mean of features [rows, time, width] over the first `lengths` steps, of length one."""
    mean = features.sum(1) / lengths[:, None].astype(features.dtype)
    return mean / jnp.linalg.norm(mean, axis=-1, keepdims=True)


encoder = nn.bert(**nn.net_arguments(ENCODER), dropout=DROPOUT, attention_dropout=0.0)
net = nn.wire(lambda f, x: f.head(embedding(f.encoder(x), x[1])), encoder=encoder, head=nn.dense(2))
loss = nn.training.supervised(net, optax.softmax_cross_entropy_with_integer_labels)


def embed(params: Any, x: Any) -> jax.Array:
    return embedding(encoder(params["encoder"], x), x[1])


jitted_embed, jitted_net = jax.jit(embed), jax.jit(net)
