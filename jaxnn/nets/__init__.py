"""One file a family: its peculiar layers, its reference net, its loss."""
