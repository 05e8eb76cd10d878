"""Building blocks that the published networks share; each exists once."""
