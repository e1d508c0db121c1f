"""Adversarial networks: generators, discriminators, their losses, and measures of generated data.

The public namespace is `jaxnn.gan`, which adds the training step; `help(nn.gan)` is its page.
"""
