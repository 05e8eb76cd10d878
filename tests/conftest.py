"""What all rooms' tests share: OpenCV keeps to one thread, as the Makefile tells torch to."""

import cv2

cv2.setNumThreads(1)
