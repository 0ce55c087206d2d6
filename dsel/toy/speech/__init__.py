"""Make speech: what is said, in which voice, through which microphone; or take real recordings."""
