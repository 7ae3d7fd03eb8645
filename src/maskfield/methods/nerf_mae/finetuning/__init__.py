"""Fine-tuning of the masked autoencoder: detection, semantic labels, super-resolution."""
