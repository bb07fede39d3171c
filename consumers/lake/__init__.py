"""The lake store: the log on DuckLake, changed by as many machines as are wanted, one commit at a time."""
