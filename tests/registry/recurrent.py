"""Entries of the registry: recurrent."""

import jax.numpy as jnp

import jaxnn as nn
from jaxnn.layers.embed import embedding
from jaxnn.layers.noise import dropout
from jaxnn.layers.norm import layer_norm
from jaxnn.layers.recurrent.cells import elman, gru, mgu
from jaxnn.layers.recurrent.linear import lru, min_gru, min_lstm
from jaxnn.layers.recurrent.lstm import conv_lstm, lstm
from jaxnn.sequences import unroll
from tests.registry.entry import (
    HALF,
    SCAN,
    TOKENS,
    WHOLE,
    Entry,
    features,
    lengths,
    masked,
    on_the_first,
    on_the_last,
    tokens,
)

ENTRIES = {
    "elman": Entry(lambda: elman(8), features(6, 8)),
    "lstm": Entry(lambda: lstm(8), features(6, 8)),
    "lstm with peepholes": Entry(lambda: lstm(16, peepholes=True, projection=8), features(6, 8)),
    "lstm in two halves": Entry(lambda: lstm(65, projection=8), features(6, 8)),
    "lstm of coupled gates": Entry(lambda: lstm(8, peepholes=True, coupled=True), features(6, 8)),
    "lstm with_dtype": Entry(lambda: nn.with_dtype(lstm(8), jnp.bfloat16), features(6, 8), HALF),
    "lstm masked": Entry(lambda: lstm(8), masked(6, 8)),
    "gru": Entry(lambda: gru(16), features(6, 8)),
    "gru with reset before": Entry(lambda: gru(8, reset_after=False), features(6, 8)),
    "mgu": Entry(lambda: mgu(8), features(6, 8)),
    "min_gru": Entry(lambda: min_gru(8), features(6, 8), SCAN),
    "min_lstm masked": Entry(lambda: min_lstm(8), masked(6, 8), SCAN),
    "lru": Entry(lambda: lru(8, 16), features(6, 8), SCAN),
    "lru masked": Entry(lambda: lru(8, r_min=0.5), masked(6, 8), SCAN),
    "conv_lstm": Entry(lambda: conv_lstm(8, 3), features(6, 4, 4, 8)),
    "conv_lstm masked": Entry(lambda: conv_lstm(8, 3), masked(6, 4, 8)),
    "unroll": Entry(lambda: unroll.unroll(gru(8)), features(6, 8)),
    "unroll to the last": Entry(lambda: unroll.unroll(gru(8), last=True), lengths(6, 8)),
    "unroll backwards": Entry(
        lambda: unroll.unroll(elman(8), reverse=True, return_carry=True), lengths(6, 8)
    ),
    "bidirectional": Entry(
        lambda: unroll.bidirectional(elman(8), merge=nn.add), features(6, 8), WHOLE
    ),
    "bidirectional masked": Entry(
        lambda: unroll.bidirectional(elman(8), lru(8)), masked(6, 8), WHOLE | SCAN
    ),
    "stack": Entry(lambda: unroll.stack(gru(8), dropout(0.5), elman(8), nn.dense(8)), masked(6, 8)),
    "stack under repeat": Entry(
        lambda: nn.repeat(nn.residual(unroll.stack(layer_norm(), lstm(8), dropout(0.5))), 2),
        masked(6, 8),
    ),
    "rnn": Entry(
        lambda: nn.rnn(elman, 8, 2, bidirectional=True, dropout=0.3, norm=layer_norm),
        masked(6, 8),
        WHOLE,
    ),
    "linear_rnn": Entry(lambda: nn.linear_rnn(8, 2, cell=min_gru, dropout=0.3), masked(6, 8), SCAN),
    "rnn_tagger": Entry(lambda: nn.rnn_tagger(elman(8), 8, dropout=0.3), masked(6, 8)),
    "rnn_classifier": Entry(
        lambda: nn.rnn_classifier(gru(8), 8, pool="mean", dropout=0.3), lengths(6, 8)
    ),
    "rnn_language_model": Entry(
        lambda: nn.rnn_language_model(elman(8), 16, 8, dropout=0.3), tokens(6)
    ),
    "attention_decoder": Entry(
        lambda: nn.attention_decoder(elman(8), 16, 8, dropout=0.3),
        lambda key, dtype: (tokens(6)(key, dtype), *masked(5, 8)(key, dtype)),
        {8: "the memory is given whole with each chunk"} | TOKENS,
        pack=on_the_first,
    ),
    "seq2seq": Entry(
        lambda: nn.seq2seq(
            unroll.unroll(unroll.stack(embedding(16, 8), elman(8))),
            nn.attention_decoder(elman(8), 16, 8),
        ),
        lambda key, dtype: (tokens(5)(key, dtype), jnp.arange(8) % 7, tokens(6)(key, dtype)),
        pack=on_the_last,
    ),
}
