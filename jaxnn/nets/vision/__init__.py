"""Networks for images and video."""
