"""The routes' side of the cache: what is stored and looked up, revalidated and sent."""
