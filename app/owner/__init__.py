"""The owner of the database and the ways to it: its socket, or the file when nobody owns it."""
