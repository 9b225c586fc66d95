"""The only package that imports ROS."""
