"""How a purge reaches the bytes: the file rewritten, tombstones sent, and a search that proves it."""
