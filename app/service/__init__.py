"""The service process: consumer, socket and admin site on one database."""
