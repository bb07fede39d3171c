"""The pages, one module per entry in the sidebar; each has a ``router`` that ``site.py`` includes."""
