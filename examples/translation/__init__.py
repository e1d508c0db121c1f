"""A transformer translates image captions from German to English.

It is trained on the 29000 sentence pairs of Multi30k. The encoder and the decoder share one
embedding of 5000 subword tokens, which also computes the logits. German is lowercased. English
keeps its case, except for the first letter of each sentence, which is lowercased for training and
capitalized again in the output. Sentences of similar length make a batch, so that little of it is
padding. The params are those with the lowest loss on the 1014 validation pairs; no choice was made
on the 1000 test pairs.

The metric is the corpus BLEU of sacrebleu, with its own tokenizer and case, against the English
references as they were written. Published scores are 33.5 for recurrent networks with attention and
30.8 for a small transformer. The baseline is the translation of the training sentence that is most
similar to the one to translate.
"""

from examples.translation.run import plan, run

__all__ = ["plan", "run"]
