"""Rows and ranks of verified submissions."""
