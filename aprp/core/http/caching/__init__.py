"""The rules of a shared HTTP cache as pure functions (RFC 9111, 5861, 9211, 9213).

Times are Unix times in seconds; durations are whole seconds.
"""
