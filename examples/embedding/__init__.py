"""A pretrained sentence encoder finds similar sentences, and is fine-tuned on movie reviews.

all-MiniLM-L6-v2 is read from its safetensors by a table of names, without PyTorch and without the
library it was made with. The embedding of a sentence is the mean of the encoder's outputs at its
tokens, scaled to length one; it is compared with what `transformers` computes for the same
sentences (tests/golden/sentences.py).

Then the encoder is fine-tuned to tell whether a critic liked a movie. A logistic regression on the
pretrained embeddings is the baseline, and also the head that training starts from. All params but
the tables of tokens and positions are then trained, with dropout, for three epochs, and the params
that do best on the validation rows are kept. The validation rows are taken from the training rows,
and all other choices were made on them as well; no choice was made on the test rows.

(Devlin et al., BERT, 2018; Reimers and Gurevych, Sentence-BERT, 2019; the head first: Kumar et al.,
Fine-tuning can distort pretrained features, 2022.)
"""

from examples.embedding.run import plan, run

__all__ = ["plan", "run"]
