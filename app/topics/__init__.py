"""Creating the topics, and checking them for settings that would keep purged records."""
