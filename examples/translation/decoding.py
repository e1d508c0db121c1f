"""Translations by a trained network, and where it attends."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxnn as nn
from examples.data.tokens import PADDING, START, STOP, Tokens
from examples.translation.network import HEADS
from examples.translation.sentences import MAX_TOKENS, capitalized

LENGTH_PENALTY = 1.0  # of the score of a translation
ROWS = 100  # sentences that are translated at once


def translate(
    model: nn.EncoderDecoder, params, sources: np.ndarray, tokens: Tokens, beams: int
) -> list[str]:
    """Translations of sources [rows, time] by beam search, which is greedy with one beam."""
    encode, rows = jax.jit(model.encode), min(ROWS, len(sources))
    # Sentences of similar length end after a similar number of steps.
    order = np.argsort((sources != PADDING).sum(1), kind="stable")
    texts = [""] * len(sources)
    for start in range(0, len(order), rows):
        # If the last batch has fewer rows, it repeats them, so that one program serves all batches.
        index = np.resize(order[start : start + rows], rows)
        source = jnp.asarray(sources[index])
        result = nn.beam_search(
            model.decode,
            params,
            (),
            jnp.full((rows, 1), START),
            steps=MAX_TOKENS - 1,
            beams=beams,
            stop=STOP,
            length_penalty=LENGTH_PENALTY,
            inputs=_decoder_inputs,
            context=(encode(params, (source, source != PADDING)), source != PADDING),
        )
        best = tokens.decode(np.asarray(result.tokens[:, 0]))
        for row, text in zip(index, best, strict=True):
            texts[row] = capitalized(text)
    return texts


def _decoder_inputs(tokens: jax.Array, context: tuple) -> tuple:
    return tokens, *context


def cross_attention(
    model: nn.EncoderDecoder, params, source: np.ndarray, target: np.ndarray
) -> np.ndarray:
    """The attention [time, keys] of the last block from a target [time] to a source [keys].

    It is the mean over the heads.
    """
    previous = jnp.asarray([START, *target[:-1]])[None]
    x = jnp.asarray(source)[None], jnp.ones((1, len(source)), bool), previous
    outputs = jax.jit(lambda params, x: nn.taps(model.net, params, (), x))(params, x)
    cross = jax.tree.map(lambda leaf: leaf[-1], params["decoder"]["blocks"]["cross"])
    normed, memory = outputs["decoder/blocks/cross_norm"][-1, 0], outputs["encoder/norm"][0]
    queries = normed @ cross["q"]["w"] + cross["q"]["b"][None]
    keys = memory @ cross["kv"]["w"] + cross["kv"]["b"][None]
    queries = queries.reshape(len(target), HEADS, -1)
    keys = jnp.split(keys, 2, axis=-1)[0].reshape(len(source), HEADS, -1)
    logits = jnp.einsum("thd,khd->htk", queries, keys) / queries.shape[-1] ** 0.5
    return np.asarray(jax.nn.softmax(logits, axis=-1).mean(0))
