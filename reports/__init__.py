"""Tables from records: Table and Cell, renderers, figures. Needs no torch."""
