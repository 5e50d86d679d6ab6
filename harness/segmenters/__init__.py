"""Segmenters: nets that read an image back into labels. One file each."""
