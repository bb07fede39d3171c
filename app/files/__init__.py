"""The files that commands read and write: events to import, extracts and engagement tables to export."""
