"""What comes in and goes out: films and folders of pictures, frame by frame."""
