"""The synthetic world: faces and motion that the project makes itself."""
