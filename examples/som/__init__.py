"""Self-organizing maps of irises and digits, compared with MiniSom at the same settings.

A map of 10 x 10 units starts on the plane of the two principal directions and is trained with a
radius of 1.5 that decays to a third, on one row after the other or on all rows at once. MiniSom
does the same in the same run; one row after the other, both are averaged over ten random orders.
Then a hexagonal map shows all digits at once: the digit that each unit represents, the borders
between units, and the clusters that k-means finds among the units, compared with the labels of the
digits, which it never received.
"""

from examples.som.run import plan, run

__all__ = ["plan", "run"]
