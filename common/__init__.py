"""Errors, files written whole, worker processes and progress: what every room stands on."""
