"""Who owns the database, and the two ways to the log: the owner's socket, or the file when nobody owns it.

To read in this order: ``question`` (what a question is), ``questions`` (all there are), ``channel`` (how they cross the
socket), ``owner`` (who answers there), ``access`` (finding the way).
"""
