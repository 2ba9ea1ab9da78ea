"""``aprp get``: one file from all of its sources, written to disk or to standard output."""
