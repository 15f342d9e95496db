"""Long videos with known expressions, in the layouts of CAS(ME)² and SAMM long videos."""
