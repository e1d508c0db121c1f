"""Capsules classify digits, also rotated and warped ones, compared with a plain network.

Both networks begin with convolutions of the same sizes. One ends in primary capsules and a capsule
for each digit, with routing by agreement; the other ends in two dense layers with as many
parameters. Both are trained on the same 4000 upright digits, moved by up to two pixels, for equally
many steps. Then the 1000 test digits are rotated by up to 40 degrees, and warped by affine maps
(rotated, sheared, scaled and moved, within the limits of affNIST), which neither network was
trained on. The capsules also learn to reconstruct a digit from the capsule of its class alone,
which shows what each dimension of that capsule represents. Sizes and rates were chosen on 800 of
the 4000 digits, rotated and warped as well, held out from the other 3200; no choice was made on the
test digits.
"""

from examples.capsule.run import plan, run

__all__ = ["plan", "run"]
