"""The release; records, CITATION.cff and the CHANGELOG name the same."""

VERSION = "0.3.0"
