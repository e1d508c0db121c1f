"""The cases in Equinox: nets of one row, mapped over rows by vmap."""
