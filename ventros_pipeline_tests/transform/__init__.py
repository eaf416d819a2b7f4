"""What messages mean, frame by frame."""
