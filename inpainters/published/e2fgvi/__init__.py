"""E2FGVI and E2FGVI-HQ (Li et al., CVPR 2022): end-to-end flow-guided inpainting."""
