"""Norm layers for generators, plain and conditional, one file each."""
