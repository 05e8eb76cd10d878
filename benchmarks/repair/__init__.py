"""How good repairs are."""
