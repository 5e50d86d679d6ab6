"""Data sets: label map, optional instance map, photo, name. One file each."""
