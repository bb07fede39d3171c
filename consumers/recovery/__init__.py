"""Backups of the database, and the database restored from one or rebuilt from the topics."""
