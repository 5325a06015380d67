"""What is wrong with a training, in words, each backed by evidence beyond its curve (no torch here)."""
