"""What is on the disk: the tables and their versions, the files beside a database, statements out of files."""
