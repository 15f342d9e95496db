"""The free backend: the Anny head, fitted to landmarks."""
