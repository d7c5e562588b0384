"""Files of what a call says and hears: how they come to be, where they are, and what users get."""
