"""Motion from onset to apex."""
