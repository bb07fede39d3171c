"""Purges: receipts, the extracts that held a matter's rows, and rehearsals."""
