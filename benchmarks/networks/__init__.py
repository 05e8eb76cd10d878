"""What networks cost and see."""
