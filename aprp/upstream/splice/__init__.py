"""Body bytes that the kernel moves from one socket to another, without Python seeing them."""
