"""The policies for delay and duplicate requests, one in each file."""
