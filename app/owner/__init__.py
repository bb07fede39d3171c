"""The owner of the database, and access to the log: through the owner's socket, or from the file if it has no owner.

Read in this order: ``question`` (what a question is), ``questions`` (all questions), ``channel`` (the protocol of the
socket), ``owner`` (the server), ``access`` (the client).
"""
