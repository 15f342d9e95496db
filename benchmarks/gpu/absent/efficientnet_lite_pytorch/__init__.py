"""A trunk that the course does not build."""

EfficientNet = None
