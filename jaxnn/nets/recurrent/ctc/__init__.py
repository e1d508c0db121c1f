"""Connectionist temporal classification (CTC): sequence labels without their positions.

A net outputs logits over the labels and a blank, class 0, for each step. An alignment assigns a
class to each step; it spells the labels that remain when equal neighbors are merged and then blanks
are removed, so 0 3 3 0 3 5 spells 3 3 5. The probability of a target is the sum over all alignments
that spell it, and training maximizes it; nobody has to say at which step each label is.

    p(target | x) = sum over alignments a that spell the target of prod_t softmax(logits_t)[a_t]

Labels are int32 [batch, most], with zeros after the last, so `labels == 0` is their padding. The
loss is optax's, one number for each row:

    optax.ctc_loss(logits, 1.0 - nn.length_mask(lengths, time), labels, 1.0 * (labels == 0))

`pack_labels` packs and checks the labels, `greedy` and `beam_search` decode logits,
`edit_distance` counts the errors, and `align` finds the step of each label.

Where it is used: to recognize speech, handwriting and text in images, if the labels come in the
order of the input but their positions are unknown; `align` also segments recordings whose
transcript is known.

Where it fails: the output cannot be longer than the input, and labels cannot be reordered, so it
does not translate (use `nn.seq2seq`). Given x, the classes of different steps are independent, so
the net learns no language model of its own output. The labels come in sharp peaks, whose positions
are only roughly those of the sounds. For a target that no alignment can spell the loss is about
1e5, and its gradient is of no use; `pack_labels` refuses such rows before training.

A net that reads three labels from twelve noisy steps:

>>> import jax, jax.numpy as jnp, jaxnn as nn, optax
>>> labels = jax.random.randint(jax.random.key(1), (256, 3), 1, 5)  # three labels of 1 to 4
>>> sounds = jnp.where(jnp.arange(12) % 4 < 2, jnp.repeat(labels, 4, axis=1), 0)
>>> noise = 0.2 * jax.random.normal(jax.random.key(2), (256, 12, 5))
>>> x = jax.nn.one_hot(sounds, 5) + noise
>>> def ctc_loss(logits, labels):
...     return optax.ctc_loss(logits, jnp.zeros(logits.shape[:2]), labels, 1.0 * (labels == 0))
>>> net, optimizer = nn.unroll(nn.rnn_tagger(nn.rnn(nn.gru, 16), 5)), optax.adam(1e-2)
>>> step = nn.training.step(nn.training.supervised(net, ctc_loss), optimizer)
>>> train = nn.training.init_train(net, optimizer, jax.random.key(0), x)
>>> end = nn.training.fit(step, train, (x, labels), steps=300, batch_size=32)
>>> guess = nn.ctc.greedy(net(end.train.params, x))
>>> bool(nn.ctc.edit_distance(guess, labels).mean() < 0.1)  # errors per row of three labels
True

See also: python -m examples speech.

Papers:
- Graves et al., Connectionist temporal classification: labelling unsegmented sequence data with
  recurrent neural networks, 2006.
- Graves, Sequence transduction with recurrent neural networks, 2012.
- Hannun et al., First-pass large vocabulary continuous speech recognition, 2014.
- Viterbi, Error bounds for convolutional codes, 1967.
- Levenshtein, Binary codes capable of correcting deletions, insertions, and reversals, 1966.
"""

from jaxnn.arguments import check_public
from jaxnn.nets.recurrent.ctc.alignment import align
from jaxnn.nets.recurrent.ctc.decoding import beam_search, greedy
from jaxnn.nets.recurrent.ctc.labels import edit_distance, pack_labels

__all__ = ["align", "beam_search", "edit_distance", "greedy", "pack_labels"]

check_public(globals(), __all__)
