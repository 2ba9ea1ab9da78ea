"""The client side: the tree of resources."""
