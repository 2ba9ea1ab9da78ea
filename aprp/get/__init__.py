"""``aprp get``: download one file from several sources to disk or standard output."""
