"""The `depth_ros` command."""
