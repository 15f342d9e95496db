"""Synthetic motion, to learn from and to choose on."""
