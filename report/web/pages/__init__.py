"""The pages, one module per entry in the sidebar. Each has a ``router`` that ``site.py`` includes."""
