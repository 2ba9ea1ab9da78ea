"""The operator's port: status page, metrics, health."""
