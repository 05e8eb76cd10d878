"""Internal video inpainting (IIVI, Ouyang, Wang and Chen, ICCV 2021): a network trained on the test clip alone."""
