"""Several processes that serve clients: a parent that shares its sockets with them."""
