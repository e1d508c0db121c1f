"""The transformer and its loss, in two sizes."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

import jaxnn as nn
from examples import Options
from examples.data.tokens import PADDING
from examples.translation.sentences import MAX_TOKENS

DEPTH = 3  # blocks of the encoder, and of the decoder
HEADS = 8
DROPOUT = 0.2
SMOOTHING = 0.1  # the share of a label that goes to all tokens alike


class Scale(NamedTuple):
    """The sizes of the net, of its training and of its test.

    width: features of a token; the feed-forward layers are twice as wide.
    vocabulary: subword tokens.
    lengths: to which batches are padded.
    pairs: training pairs.
    tested: pairs of the validation set and of the test set.
    steps: of training.
    every: steps between validations.
    beams: of beam search.
    """

    width: int
    vocabulary: int
    lengths: tuple[int, ...]
    pairs: int
    tested: int
    steps: int
    every: int
    beams: int


FULL = Scale(
    width=256,
    vocabulary=5000,
    lengths=(12, 16, 20, 24, 32),
    pairs=29000,
    tested=1014,
    steps=3600,
    every=200,
    beams=5,
)
QUICK = Scale(
    width=64, vocabulary=600, lengths=(16,), pairs=2000, tested=16, steps=20, every=10, beams=1
)


def scale_of(options: Options) -> Scale:
    return QUICK if options.quick else FULL


def network(options: Options) -> nn.EncoderDecoder:
    scale = scale_of(options)
    return nn.seq2seq_transformer(
        scale.vocabulary,
        scale.width,
        DEPTH,
        HEADS,
        mlp_width=2 * scale.width,
        dropout=DROPOUT,
        attention_dropout=0.0,
        capacity=MAX_TOKENS,
    )


def loss_of(net: nn.Layer) -> Callable:
    """The cross entropy of a token in nats, with label smoothing in training only."""

    def loss(params, state, batch, *, key, train):
        sources, targets = batch
        x = sources, sources != PADDING, targets[:, :-1]
        logits, state = net.apply(params, state, x, key=key, train=train)
        labels = targets[:, 1:]
        weight = (labels != PADDING).astype(logits.dtype)
        # The label's logit is chosen by a comparison, whose gradient needs no scatter.
        is_label = labels[..., None] == jnp.arange(logits.shape[-1])[None, None]
        normalizer = jax.nn.logsumexp(logits, axis=-1)
        entropy = normalizer - jnp.where(is_label, logits, 0).sum(-1)
        smooth = (1 - SMOOTHING) * entropy + SMOOTHING * (normalizer - logits.mean(-1))
        mean_entropy = (entropy * weight).sum() / weight.sum()
        if not train:
            return mean_entropy, (state, {})
        return (smooth * weight).sum() / weight.sum(), (state, {"cross_entropy": mean_entropy})

    return loss
