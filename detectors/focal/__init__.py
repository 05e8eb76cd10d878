"""FOCAL (Wu, Chen and Zhou, 2023): contrastive forensic features, clustered on the fly, image by image."""
