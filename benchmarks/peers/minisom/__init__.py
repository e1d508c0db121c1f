"""The self-organizing map in MiniSom."""
