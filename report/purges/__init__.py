"""What a deletion did and would do: receipts, extracts that held its rows, rehearsal."""
