"""A transfer: one file from one or many sources as one ordered stream of bytes."""
