"""What stands before every server of ours: whom it answers, and how long who does nothing may stay connected."""
