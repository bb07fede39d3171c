"""Read-only access to the log: extracts, engagement, pictures, receipts and the admin site."""
