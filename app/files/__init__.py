"""Files that commands read and write: extracts on their way out, events on their way in."""
