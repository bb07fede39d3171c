"""Backups, and recovery: a database restored from a backup or rebuilt from the topics."""
