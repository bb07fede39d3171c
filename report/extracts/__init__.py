"""An extract: what is asked for, its rows from one committed state, its bytes in each format."""
