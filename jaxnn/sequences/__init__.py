"""Sequences: cells over time, masks, generation and beam search."""
