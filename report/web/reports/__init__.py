"""Reports: from the choices in a form or query string to the file that is downloaded."""
