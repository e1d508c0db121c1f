"""Attention: the layers, their masks, positions and cache."""
