"""Parts that several examples share; no example of its own."""
