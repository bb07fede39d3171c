"""An extract once it is made: registered, described by its manifest, verified, compared, in a series."""
