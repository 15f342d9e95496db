"""The corpora: their descriptions, annotations and repairs."""
