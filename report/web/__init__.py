"""The admin site: accounts, sign-in, and the pages on top of the report. ``site.py`` assembles it."""
