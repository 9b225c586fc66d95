"""Recorded and simulated camera + LiDAR data as `Frame`s with truth."""
