"""Feature nets for Fréchet distances and the perceptual loss. One file each."""
