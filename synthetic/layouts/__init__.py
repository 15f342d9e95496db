"""Small stand-ins of further corpora: their layouts, tables and traps, with drawn faces."""
