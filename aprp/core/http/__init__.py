"""The rules of HTTP as pure functions: RFC 9110 and RFC 9112, one subject a file."""
