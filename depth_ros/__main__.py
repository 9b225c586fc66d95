"""`python -m depth_ros` is the command `depth_ros`."""

import sys

from depth_ros.cli.main import main

if __name__ == '__main__':
    sys.exit(main())
