"""Cameras, transforms, LiDAR projection and clouds, in NumPy and OpenCV."""
