"""Radial basis functions predict a chaotic series and diabetes, and classify digits.

Each network starts in closed form: its centers are means of rows (k-means), and the weights of its
output solve a linear problem (ridge regression). Then centers, widths and weights are all tuned by
gradient descent: on the squared error of the series and of the patients, and on the cross entropy
of digits that are moved by up to two pixels at every step.

The width of the series' network is chosen on the last 100 of its 500 training rows, once for the
closed form and once for the tuned network; all candidates are tuned side by side (`nn.ensemble`).
For the patients, centers, width and penalty were compared on folds within the training folds, for
the digits on 800 of the 4000; no choice was made on test rows.
"""

from examples.rbf.digits import plan
from examples.rbf.run import run

__all__ = ["plan", "run"]
