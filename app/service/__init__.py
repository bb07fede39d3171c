"""The service process: consumer, owner's socket and admin site on one database."""
