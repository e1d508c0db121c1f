"""A recurrent network predicts whether critics liked a film, without pretrained word vectors.

The vocabulary is the words of the 8484 training sentences, each with its own vector, initialized at
random. A bidirectional gated recurrent network reads a sentence, and the maximum of each of its
outputs over all words predicts the mean rating of about twenty people, from -4 to 4; a rating above
0 makes the sentence positive. Ratings contain more information than their signs. Four networks are
trained side by side and their ratings are averaged. In training a fifth of the words is dropped,
and half of the features of the others, because most words occur in few sentences.

A transformer encoder reads the same words for comparison. The baseline, logistic regression on
tf-idf features, learns the signs; its penalty is chosen by five-fold cross-validation. All settings
were chosen on a fifth of the training sentences.
"""

from examples.sentiment.network import plan
from examples.sentiment.run import run

__all__ = ["plan", "run"]
