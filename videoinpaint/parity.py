"""Numeric parity of the published networks with stored fixtures."""
