"""The cases in PyTorch, eager unless a file is named `_compiled`."""
