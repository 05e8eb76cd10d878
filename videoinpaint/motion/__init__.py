"""Motion between frames: optical flow, the camera's share of it, and windows over pixels."""
