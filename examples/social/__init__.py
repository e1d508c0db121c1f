"""Graph networks assign members of a club that split to its sides, and articles to subjects.

Of each member of the karate club only the friendships are known. Two members are labeled, the
teacher and the president. A hundred small graph convolutional networks, each initialized
differently, predict together which side each of the others joined.

The articles of Cora have words and citations, and 140 of 2708 have a subject to train on. A graph
convolutional network (GCN) and a graph attention network (GAT) are trained ten times each, with the
settings of their papers; the params are those with the lowest loss on the 500 validation articles,
and no choice was made on the 1000 test articles. The baseline is a logistic regression on the words
alone.

(Kipf and Welling, Semi-supervised classification with graph convolutional networks, 2017;
Velickovic et al., Graph attention networks, 2018.)
"""

from examples.social.articles import plan
from examples.social.run import run

__all__ = ["plan", "run"]
