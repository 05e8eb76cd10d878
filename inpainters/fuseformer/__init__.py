"""FuseFormer (Liu et al., ICCV 2021): fine-grained fusion by overlapping patches."""
