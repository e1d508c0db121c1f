"""One neuron learns a line, then a class boundary, by gradient descent on the squared error.

Both are learned from Fisher's irises. The line predicts the width of a petal from its length, for
all three species. The boundary tells versicolor from virginica by their petals. For the line,
least squares gives a solution in closed form, which the descent has to reach. For the boundary,
with its sigmoid, there is none; the baseline is the plane that least squares fits to the classes'
numbers 0 and 1, with the boundary at one half.

The line is learned in centimeters as measured, so that its loss is a long narrow valley: the path
reaches the floor in a few steps and needs hundreds more to move along it. The boundary is learned
from standardized lengths, whose loss surface is rounder.
"""

from examples.neuron.run import plan, run

__all__ = ["plan", "run"]
