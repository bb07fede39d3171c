"""Reading the log: a connection for reading, which rows, and which committed state."""
