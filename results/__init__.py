"""Figures as data: published/ (from papers, a source for each) and measured/ (records)."""
