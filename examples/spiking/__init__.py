"""Spiking networks classify digits, and the motion of a camera from event data.

Each digit is presented as a constant current. A dense and a convolutional network of leaky
integrate-and-fire neurons classify it in a few steps; the prediction is read from the membrane
potentials of the output layer. A penalty on spikes keeps neurons quiet, and a figure shows how
strong it can be before accuracy falls. The weights are then rounded to few bits, and the additions
that spikes cause are counted, because they determine the energy on a neuromorphic chip.

An event camera reports changes only: a pixel that became lighter, or darker. The events are
computed from a real clip, through a window that pans over it in one of eight directions while the
clip plays; the network classifies the direction. The last fifth of the clip is for testing.

The settings of the dense network were chosen on 800 of the 4000 training digits, held out from the
other 3200. The kernel size, the penalty and the number of steps of the convolutional network, and
all settings of the network for events, were fixed before any test row was looked at, and not
compared with others.
"""

from examples.spiking.run import plan, run

__all__ = ["plan", "run"]
