"""What is scored without a training: given images, official checkpoints, stored confusions, photos without labels."""
