"""Layers that all families share.

Defaults on which libraries disagree, from the installed packages (PyTorch 2.13, Flax NNX 0.12.8,
Equinox 0.13.8) and Keras 3's documentation:

| default                 | here      | PyTorch    | Keras      | Flax NNX   | Equinox    |
|-------------------------|-----------|------------|------------|------------|------------|
| conv: padding           | SAME      | 0          | valid      | SAME       | 0          |
| lstm: forget bias       | 1         | uniform    | 1          | 0          | uniform    |
| lstm: biases per gate   | 1         | 2          | 1          | 1          | 1          |
| gru: reset gate         | after     | after      | after      | after      | after      |
| batch_norm: momentum    | 0.9       | 0.9 ("0.1")| 0.99       | 0.99       | 0.99       |
| batch_norm: epsilon     | 1e-5      | 1e-5       | 1e-3       | 1e-5       | 1e-5       |
| batch_norm: running     | unbiased  | unbiased   | biased     | biased     | biased     |
| layer_norm: epsilon     | 1e-5      | 1e-5       | 1e-3       | 1e-6       | 1e-5       |
| rms_norm: epsilon       | 1e-6      | of a dtype | 1e-6       | 1e-6       | 1e-5       |
| GELU                    | tanh (jax.nn's) | exact | exact     | tanh       | tanh       |
"""
