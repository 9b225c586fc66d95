"""Training by distillation: simulated LiDAR, procedural scenes, losses, stages, the loop."""
