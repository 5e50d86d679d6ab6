"""The one pass from images to scores."""
