"""HTTP to sources: the agent, its connections, names, TLS, and the address guard."""
