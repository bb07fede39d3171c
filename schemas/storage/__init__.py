"""Storage: the tables and their versions, the files beside a database, and SQL statements from files."""
