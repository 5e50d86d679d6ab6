"""The adversarial step, losses, schedules and checkpoints."""
