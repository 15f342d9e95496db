"""DECA's networks and the FLAME head."""
