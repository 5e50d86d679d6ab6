"""Suite definitions: a data set with its size, encoding, schedule, segmenter and protocol. One file each."""
