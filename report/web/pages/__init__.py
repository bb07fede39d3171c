"""The pages, one module a place in the sidebar; each has a ``router`` that ``site.py`` includes."""
