"""The activity table -> extracts: read-only, a committed state, complete or an error."""
