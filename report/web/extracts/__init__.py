"""Extracts that are made in the background, kept for an hour, and dropped when one of their matters is purged."""
