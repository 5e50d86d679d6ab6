"""What a generator minimises, one objective a file."""
