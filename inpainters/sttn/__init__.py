"""STTN (Zeng, Fu and Chao, ECCV 2020): joint spatial-temporal transformations at four patch scales."""
