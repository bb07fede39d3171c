"""What the site asks of the log and of the pipeline: counts, names, metrics, pictures."""
