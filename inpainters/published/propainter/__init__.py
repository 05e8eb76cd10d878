"""ProPainter (Zhou et al., ICCV 2023): dual-domain propagation and a mask-guided sparse transformer."""
