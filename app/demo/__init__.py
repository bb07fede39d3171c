"""The demo: a simulated firm, an embedded broker and the whole pipeline."""
