"""From what a person chose in a form or query to the file that they are given."""
