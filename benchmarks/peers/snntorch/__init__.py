"""The spiking case in snnTorch."""
