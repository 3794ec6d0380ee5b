"""What can be wrong with an installation: looked at, judged, and told with the way to mend it."""
