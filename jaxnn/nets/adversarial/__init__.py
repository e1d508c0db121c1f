"""Generators and discriminators, their losses, and measures of what they generate."""
