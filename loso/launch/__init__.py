"""Folds one after the other, side by side, or on a cluster."""
