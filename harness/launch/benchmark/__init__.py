"""The time of one pass against the same work by programs that hand each other PNG files."""
