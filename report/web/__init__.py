"""The admin site: accounts, log-in, and the pages on top of the report; ``site.py`` puts it together."""
