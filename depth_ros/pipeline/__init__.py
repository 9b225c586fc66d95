"""The run-time, free of ROS: configuration, pairing, fusion, calibration of sigma."""
