"""The graph networks in PyTorch Geometric."""
