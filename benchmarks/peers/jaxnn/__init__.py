"""The cases in jaxnn, and the training step of every network that `benchmarks backends` times."""
