"""Files that tests make up."""
