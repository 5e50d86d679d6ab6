"""One cell: claimed, trained, scored, its record or its failure left; in this process or in a worker's."""
