"""The source side: the agent, an exchange, a transfer, the store."""
