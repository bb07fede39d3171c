"""Extracts: the request, the rows from one committed state, and the bytes in each format."""
