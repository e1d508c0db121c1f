"""Transformers: blocks, language models, text encoders, encoder-decoders."""
