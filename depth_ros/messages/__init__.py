"""What ROS messages say, read by their attributes and without ROS: a recording's are as good."""
