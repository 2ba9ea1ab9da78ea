"""A simulation of the whole daemon: one seed decides a network, its origins and its clients."""
