"""CIRI (Zheng et al., ICCV 2023): one-shot inpainting around any encoder-decoder backbone.

Only the first frame's mask is given, masks of the other frames are predicted, and predictions err. So the target is not
cut out of the image: the backbone's features of it are inactivated, as far as a joint map says, and what remains of the
target in the repaired frames is detected and removed by fine-tuning the mask propagator on the clip.
"""
