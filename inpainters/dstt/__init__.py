"""DSTT (Liu et al., 2021): decoupled spatial-temporal transformer."""
