"""What is trained: the ViT, its weights, what a method builds on it, and the quality head."""
