"""HTTP/2 (RFC 9113) as pure functions: frames, fields, windows, and what is too much."""
