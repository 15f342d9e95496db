"""Choosing: candidates, `nested` that chooses on training subjects, and what choosing is worth."""
