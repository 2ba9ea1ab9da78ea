"""`aprp mirror`: compares the copies of a file on several mirrors before a route is written."""
