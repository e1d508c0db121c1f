"""A conditional adversarial network draws handwritten digits of a requested class.

A deep convolutional generator receives a class and noise, and draws a digit of that class. A
projection discriminator under spectral norm, which receives the class as well, learns to tell these
digits from 4000 real ones. By itself such a generator draws one digit of each class, whatever the
noise; so a term of its loss asks that two digits drawn for one class differ as much as their noise
does (mode seeking). Images are drawn with the average of the generator's params over steps, from
noise with a smaller spread than in training, which gives up some variety for quality (the
truncation trick).

The images are judged by a reader, a network that was trained on the same 4000 digits: whether it
reads the requested digit, and how far its features are from those of 1000 test digits (the Frechet
distance), compared with samples of one Gaussian fitted to the pixels of the training digits. The
weight of mode seeking and the spread were chosen by what the reader reads, and by the distance to
the training digits.

(Miyato and Koyama, cGANs with projection discriminator, 2018; Mao et al., Mode seeking generative
adversarial networks for diverse image synthesis, 2019; truncation: Brock, Donahue and Simonyan,
Large scale GAN training for high fidelity natural image synthesis, 2019.)
"""

from examples.generation.run import plan, run

__all__ = ["plan", "run"]
