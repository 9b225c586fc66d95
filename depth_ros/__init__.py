"""Dense metric depth, a coloured cloud and calibrated uncertainty from a camera and a LiDAR."""

__version__ = '0.1.0'
