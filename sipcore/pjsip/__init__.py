"""The only package that imports pjsua2."""
