"""What policies and controls are worth."""
