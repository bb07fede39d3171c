"""Reading the log: read-only connections, filters and snapshots."""
