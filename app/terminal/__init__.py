"""What commands print: tables, progress, log lines."""
