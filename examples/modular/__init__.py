"""Mixtures of experts: a piecewise surface, 14 labels, text, and one expert on each device.

The example has four parts. The first is a piecewise linear function, which linear experts with a
gate learn far better than a single network with as many parameters. The second is 14 labels of
yeast genes, each with its own gate over shared experts, compared with a random forest. The third is
characters of Shakespeare, each of which is routed to 2 of 8 experts, compared with a network
without experts that takes as many multiply-adds per character. The fourth distributes the modules
of a net over 8 devices: the numbers are the same, and the work is divided.
"""

from examples.modular.run import plan, run

__all__ = ["plan", "run"]
