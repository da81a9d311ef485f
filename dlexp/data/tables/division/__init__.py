"""Tables divided by a column of groups, of times or of split names, and tables of several files."""
