"""Mixtures of experts: a piecewise surface, 14 labels, text, and one expert on each device.

First, a piecewise linear function, which linear experts and a gate learn far better than a single
network with as many parameters. Second, 14 labels of yeast genes, each with its own gate over
shared experts, beside a random forest. Third, characters of Shakespeare, where each character is
routed to 2 of 8 experts, beside a network without experts that takes as many multiply-adds per
character. Fourth, the modules of a net on 8 devices, one on each: the numbers are the same, and the
work is divided.
"""

from examples.modular.run import plan, run

__all__ = ["plan", "run"]
