"""Strangers' policies in confined processes of their own."""
