"""Episodes and their states: batches of them, packed, and where they lie between two steps."""
