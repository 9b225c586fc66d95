"""Ways from a camera view to depth: each one screen, each behind `DepthMethod`."""
