"""The command line: one module per concern, each adding its commands to the app in app.py."""
