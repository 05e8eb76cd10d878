"""The board as a page, with drawings and pictures."""
