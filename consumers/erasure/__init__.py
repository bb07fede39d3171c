"""Erasure of purged data: rewriting the file, sending tombstones, and searching to prove it."""
