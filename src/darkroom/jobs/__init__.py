"""A slow operation in a process of its own: started, followed, stopped, found again after a restart."""
