"""Recurrent networks: nets that read a sequence step by step and carry a memory along.

This room is internal: its functions are public as `jaxnn.rnn`, `jaxnn.linear_rnn`,
`jaxnn.rnn_tagger` and so on, and CTC as `jaxnn.ctc`. The cells themselves (`elman`, `lstm`, `gru`,
`lru`, ...) are in `jaxnn.layers.recurrent`.

A body is any cell from vectors to vectors: `rnn`, `linear_rnn`, or a `stack` of an embedding and
one of these. On a body stand `rnn_tagger` (an output for each step), `rnn_classifier` (one for each
sequence), `rnn_language_model` (the next token) and, with `seq2seq`, `attention_decoder` (a
sequence from another one).

    h_t = cell(h_(t-1), x_t),  y_t = h_t w + b

All but the classifier and `seq2seq` are cells. `unroll` makes a cell a layer of whole sequences,
which takes lengths or a mask if they are padded; to serve a model, feed it step by step. Both give
the same numbers.

Where it is used: for time series, sensor streams and speech, in particular on devices that need a
constant cost and memory for each step. Where it fails: a memory of fixed size forgets distant
details that attention (`jaxnn.transformer`) looks up, and all cells but the linear ones run one
step after the other, which leaves a GPU underused in training.

Trained to sum up a sequence:

>>> import jax, jaxnn as nn, optax
>>> x = jax.random.normal(jax.random.key(1), (512, 10, 1))
>>> y = x.mean(axis=1)
>>> net, optimizer = nn.rnn_classifier(nn.rnn(nn.gru, 16), 1), optax.adam(1e-2)
>>> step = nn.training.step(nn.training.supervised(net, nn.mse), optimizer)
>>> train = nn.training.init_train(net, optimizer, jax.random.key(0), x)
>>> end = nn.training.fit(step, train, (x, y), steps=500, batch_size=64)
>>> end.history[-1]["loss"] < 0.01  # the mean itself varies by 0.1
True

See also: python -m examples forecast, sentiment or speech.

Papers:
- Graves, Mohamed and Hinton, Speech recognition with deep recurrent neural networks, 2013.
- Mikolov et al., Recurrent neural network based language model, 2010.
- Sutskever, Vinyals and Le, Sequence to sequence learning with neural networks, 2014.
- Luong, Pham and Manning, Effective approaches to attention-based neural machine translation, 2015.
- Orvieto et al., Resurrecting recurrent neural networks for long sequences, 2023.
"""
