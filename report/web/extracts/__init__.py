"""Downloads made in the background, kept for an hour, and dropped when a purge touches them."""
