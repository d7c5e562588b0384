"""What a call says and hears, as numpy in the process of the user."""
