"""What the site reads from the log and the pipeline: counts, names, metrics, pictures."""
