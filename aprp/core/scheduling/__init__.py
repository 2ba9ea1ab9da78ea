"""The block scheduler: which bytes are requested from which source, and when."""
