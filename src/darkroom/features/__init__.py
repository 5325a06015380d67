"""An image's features, computed once and kept for whoever asks again."""
