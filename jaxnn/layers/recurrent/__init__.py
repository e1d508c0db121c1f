"""Recurrent cells, which are unrolled over a sequence by `jaxnn.unroll`.

- cells: `elman`, `gru` and `mgu`, and what gated cells share.
- linear: `min_gru`, `min_lstm` and `lru`, whose recurrence is linear and runs as a parallel scan.
- lstm: `lstm` and `conv_lstm`.
"""
