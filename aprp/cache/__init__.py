"""The cache on disk, which all routes of a process share."""
