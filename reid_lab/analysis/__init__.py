"""What a trained network does: where it looks, what it costs, when it fails."""
