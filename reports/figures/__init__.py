"""Figures for papers, drawn by matplotlib from tables and records. Needs no torch."""
