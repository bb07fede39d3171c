"""Handing out extracts: the register, manifests, verification, comparison and series."""
