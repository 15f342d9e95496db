"""3D face reconstruction: DECA (FLAME) and the free Anny head."""
