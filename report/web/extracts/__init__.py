"""Downloads made in the background, kept for an hour, and made again when a purge touches them."""
