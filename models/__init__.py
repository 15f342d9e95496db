"""Networks and loss: tensors in, tensors out. Knows no files."""
