"""How much memory there is to use."""

import os
from pathlib import Path

UNKNOWN_MEMORY = 4 * 2**30  # bytes, where the system does not say


def free_memory() -> int:
    """Bytes of memory that the system could still hand out, or a guess where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * int(next(line.split()[1] for line in lines if "MemAvailable" in line))
    except (OSError, StopIteration):
        return _half_of_all_memory()


def _half_of_all_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return UNKNOWN_MEMORY
